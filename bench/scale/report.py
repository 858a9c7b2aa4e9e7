"""Tables of what was measured, and what follows for the size of a machine."""

from __future__ import annotations

from enum import Enum
from typing import Any

from usage import LOCATIONS, STANDBY

Figures = list[dict[str, Any]]
_KEY = ("locations", "assets", "standby")
Row = tuple[str, float | None, "Holds"]


class Holds(Enum):
    """What a figure is worth that was measured while others worked on the machine."""

    ALWAYS = "memory and counts"
    ABOUT = "CPU time: others take the caches, and what is done each second is done less often"
    WHEN_QUIET = "times"


def merged(before: Figures, found: dict[str, Any]) -> Figures:
    """With this configuration in the place of the same one, smallest first."""
    others = [each for each in before if _key(each) != _key(found)]
    return sorted([*others, found], key=_key)


def _key(figure: dict[str, Any]) -> tuple[int, ...]:
    return tuple(figure[name] for name in _KEY)


def _rows(figure: dict[str, Any]) -> list[Row]:
    """What, how much, and whether that holds on a busy machine."""
    memory, idle = figure["memory_mib"], figure["idle_cpu_percent"]
    rate, burst = figure["rate"], figure["burst"]
    stack = sum(used for part, used in idle.items() if part != "engine")
    return [
        ("memory, MiB: webserver", memory["webserver"], Holds.ALWAYS),
        ("memory, MiB: daemon", memory["daemon"], Holds.ALWAYS),
        ("memory, MiB: Postgres", memory["postgres"], Holds.ALWAYS),
        ("memory, MiB: gateways", memory["docker_gateway"] + memory["web_gateway"], Holds.ALWAYS),
        ("memory, MiB: a code server", figure["location_memory_mib"], Holds.ALWAYS),
        ("memory, MiB: a standby worker", figure["standby_memory_mib"] or None, Holds.ALWAYS),
        ("memory, MiB: all", sum(memory.values()), Holds.ALWAYS),
        ("idle CPU, % of a core: webserver", idle["webserver"], Holds.ABOUT),
        ("idle CPU, % of a core: daemon", idle["daemon"], Holds.ABOUT),
        ("idle CPU, % of a core: Postgres", idle["postgres"], Holds.ABOUT),
        (
            "idle CPU, % of a core: a code server",
            idle[LOCATIONS] / figure["locations"],
            Holds.ABOUT,
        ),
        ("idle CPU, % of a core: standby workers", idle.get(STANDBY), Holds.ABOUT),
        ("idle CPU, % of a core: all containers", stack, Holds.ABOUT),
        ("idle CPU, % of a core: engine", idle["engine"], Holds.WHEN_QUIET),
        (
            "start of a standby worker, CPU s",
            figure.get("standby_start_cpu_s") or None,
            Holds.ABOUT,
        ),
        ("start of all at once, s", figure["start_s"], Holds.WHEN_QUIET),
        ("start of a code server, CPU s", figure["start_cpu_s_per_location"], Holds.ABOUT),
        ("start of all at once, CPU s: engine", figure["start_cpu_s"]["engine"], Holds.WHEN_QUIET),
        ("webserver, from start to all loaded, s", figure["webserver_load_s"], Holds.WHEN_QUIET),
        ("webserver, from start to all loaded, CPU s", figure["webserver_load_cpu_s"], Holds.ABOUT),
        ("daemon, from start to all loaded, s", figure["daemon_load_s"], Holds.WHEN_QUIET),
        ("daemon, from start to all loaded, CPU s", figure["daemon_load_cpu_s"], Holds.ABOUT),
        ("reload of the workspace, s", figure["reload_s"], Holds.WHEN_QUIET),
        *(
            (f"{what}, CPU s of the webserver", figure.get(f"{name}_webserver_cpu_s"), Holds.ABOUT)
            for what, name in (
                ("reload of the workspace", "reload"),
                ("list of all assets", "assets"),
            )
        ),
        ("lateness of ticks, s: median", figure.get("tick_lateness_s_median"), Holds.WHEN_QUIET),
        ("lateness of ticks, s: p95", figure.get("tick_lateness_s_p95"), Holds.WHEN_QUIET),
        *_runs("steady runs", rate),
        ("event rows of a run", rate.get("events_per_run"), Holds.ALWAYS),
        ("bytes of its event rows", rate.get("event_bytes_per_run"), Holds.ALWAYS),
        (
            "growth of the database for each steady run, bytes",
            rate["database_bytes_per_run"],
            Holds.ALWAYS,
        ),
        ("connections of Postgres: idle", figure["idle_connections"], Holds.ALWAYS),
        *_runs("burst", burst),
        ("burst: runs a minute", burst.get("runs_per_minute"), Holds.WHEN_QUIET),
    ]


def _runs(load: str, found: dict[str, Any]) -> list[Row]:
    return [
        (
            f"{load}: wait in the queue, s: median",
            found.get("queue_wait_s_median"),
            Holds.WHEN_QUIET,
        ),
        (f"{load}: wait in the queue, s: p95", found.get("queue_wait_s_p95"), Holds.WHEN_QUIET),
        (f"{load}: launch to start, s: median", found.get("launch_s_median"), Holds.WHEN_QUIET),
        (f"{load}: launch to start, s: p95", found.get("launch_s_p95"), Holds.WHEN_QUIET),
        (f"{load}: oldest heartbeat, s", found.get("heartbeat_age_s"), Holds.WHEN_QUIET),
        (f"{load}: connections of Postgres", found.get("connections"), Holds.ALWAYS),
    ]


def markdown(figures: Figures) -> str:
    """A column for each configuration; then who measured what, and the rule."""
    columns = [_rows(figure) for figure in figures]
    names = list(dict.fromkeys(name for column in columns for name, _, _ in column))
    heads = [f"{each['locations']}, standby {each['standby']}" for each in figures]
    lines = [f"| code locations | {' | '.join(heads)} |", "|---|" + "---:|" * len(figures)]
    for name in names:
        cells = []
        for figure, column in zip(figures, columns, strict=True):
            found = {each: (value, holds) for each, value, holds in column}
            cells.append(_cell(*found.get(name, (None, Holds.ALWAYS)), figure["quiet"]))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(_origin(figure) for figure in figures), "", rule(figures)])


def _cell(value: float | None, holds: Holds, quiet: bool) -> str:
    if value is None:
        return ""
    if holds is Holds.WHEN_QUIET and not quiet:
        return "(1)"
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{shown} (2)" if holds is Holds.ABOUT and not quiet else shown


def _origin(figure: dict[str, Any]) -> str:
    busy = (
        ""
        if figure["quiet"]
        else f" Others used {_others(figure):.1f} cores meanwhile: (1) has no figure, (2) is about"
        " so much."
    )
    load = figure["load"]
    return (
        f"- {figure['locations']} locations of {figure['assets']} assets, standby"
        f" {figure['standby']}: {load['runs']} runs in {load['over_s']:.0f} s, then"
        f" {load['burst']} at once; {figure['date']}, {figure['machine']}.{busy}"
    )


def _others(figure: dict[str, Any]) -> float:
    return max(float(figure["busy_before"]), float(figure["idle_others_cores"]))


def growth(figures: Figures, value: Any) -> tuple[float, float] | None:
    """What the stack takes without locations, and what each location adds; None for one size."""
    sizes = sorted({(each["locations"], value(each)) for each in figures})
    if len({locations for locations, _ in sizes}) < 2:
        return None
    (few, least), (many, most) = sizes[0], sizes[-1]
    slope = (most - least) / (many - few)
    return least - slope * few, slope


def rule(figures: Figures) -> str:
    """What a location adds, by a line through the smallest and the largest number of them."""
    lines = []
    for standby in sorted({each["standby"] for each in figures}):
        same = [each for each in figures if each["standby"] == standby]
        memory = growth(same, lambda each: sum(each["memory_mib"].values()))
        idle = growth(
            same,
            lambda each: sum(v for k, v in each["idle_cpu_percent"].items() if k != "engine"),
        )
        if memory and idle:
            lines.append(
                f"- With {standby} standby workers per location: {memory[0]:.0f} MiB and"
                f" {memory[1]:.0f} MiB per location; idle, {max(0.0, idle[0]):.1f} % of a core and"
                f" {idle[1]:.2f} % per location."
            )
    return "\n".join(lines)

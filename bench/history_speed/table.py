"""The measurement as the tables of docs/retention.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def of(found: Mapping[str, Any]) -> str:
    """Pages before and after, then the removal."""
    load, counts, removed = found["load"], found["counts"], found["retention"]
    quiet, busy = removed["meanwhile"]["quiet"], removed["meanwhile"]["removing"]
    pages = [
        f"| {name} | {sum(asked.values()):.2f} | {sum(found['after'][name].values()):.2f} |"
        f" {_slowest(asked)} |"
        for name, asked in found["before"].items()
    ]
    lines = [
        f"Medians of {found['repeat']}, in seconds. The machine's load was {load['before']:.1f}"
        f" when the pages were asked before the removal, {load['removal']:.1f} when the removal"
        f" began, {load['after']:.1f} and at the end {load['end']:.1f} when they were asked after"
        " it: figures of different loads cannot be compared with each other.",
        "",
        "| page, its queries one after the other | before | after | slowest query before |",
        "|---|---|---|---|",
        *pages,
        "",
        "| the removal | |",
        "|---|---|",
        f"| database before | {counts['runs']:,} runs, {counts['event_logs']:,} events,"
        f" {counts['MiB']:,} MiB |",
        f"| removed | {removed['runs']:,} runs, {removed['events']:,} events |",
        f"| `make retention-plan` | {removed['plan_s']:.0f} s; it estimates"
        f" {removed['planned_bytes'] / 2**20:,.0f} MiB |",
        f"| time, without the `VACUUM` | {removed['removal_s']:.0f} s |",
        f"| size after `VACUUM` | {removed['MiB_after_vacuum']:,} MiB |",
        f"| `COMPACT=1` | {removed['full_vacuum_s']:.0f} s; then"
        f" {removed['MiB_after_full_vacuum']:,} MiB |",
        f"| creating a run, without and during the removal | {_pair(quiet, busy, 'create_run')} |",
        f"| runs page, without and during the removal | {_pair(quiet, busy, 'runs_page')} |",
    ]
    return "\n".join(lines)


def _slowest(asked: Mapping[str, float]) -> str:
    name = max(asked, key=lambda each: asked[each])
    return f"{name} {asked[name]:.2f}"


def _pair(quiet: Mapping[str, float], busy: Mapping[str, float], what: str) -> str:
    medians = [f"{each[f'{what}_s'] * 1000:.0f} ms" for each in (quiet, busy)]
    most = [f"{each[f'{what}_max_s'] * 1000:.0f} ms" for each in (quiet, busy)]
    return f"median {medians[0]} and {medians[1]}, at most {most[0]} and {most[1]}"

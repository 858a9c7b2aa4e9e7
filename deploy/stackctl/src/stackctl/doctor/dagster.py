"""Checks of what Dagster says of itself, and of its database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from stackctl.doctor.facts import Facts
from stackctl.doctor.finding import BOTH, Finding, check, error, ok, warning

GROUP = "Dagster"
State = Mapping[str, Any]
# Heartbeats are 30 s apart.
_HEARTBEAT_S = 150
_SHARE_OF_CONNECTIONS = 0.8


@check("code locations", GROUP, BOTH)
def code_locations(facts: Facts) -> Iterator[Finding]:
    """Each code location loads."""
    yield from locations(facts.state)


def locations(state: State) -> Iterator[Finding]:
    """Errors of those that do not load."""
    found = state["status"]["locations"]
    for one in found:
        if one["error"]:
            yield error(
                f"{one['name']} does not load: {one['error']}",
                f"make logs SERVICE={one['name']} has the traceback; make check loads all here",
            )
        elif one["loading"]:
            yield warning(f"{one['name']} is still loading", "make status waits for it")
    if not any(one["error"] or one["loading"] for one in found):
        yield ok(f"{len(found)} are loaded: {', '.join(one['name'] for one in found)}")


@check("ticks", GROUP, BOTH)
def ticks(facts: Facts) -> Iterator[Finding]:
    """Schedules and sensors tick without errors."""
    yield from failing(facts.state)


def failing(state: State) -> Iterator[Finding]:
    """Those that fail, and since when."""
    for one in state["failing"]:
        since = datetime.fromisoformat(one["since"])
        yield error(
            f"{one['kind']} {one['name']} ({one['location']}) fails since"
            f" {since:%Y-%m-%d %H:%M} UTC: {one['error']}",
            f"the tick's log in the UI: Automation, {one['name']}; make logs SERVICE=daemon",
        )
    if not state["failing"]:
        running = sum(one["running"] for one in state["instigators"])
        yield ok(f"{running} schedules and sensors are on, and none fails")


@check("stopped schedules", GROUP, BOTH)
def stopped_schedules(facts: Facts) -> Iterator[Finding]:
    """No schedule or sensor that runs by its definition was stopped by a person."""
    yield from stopped(facts.state)


def stopped(state: State) -> Iterator[Finding]:
    """Those that their definitions start, and that are off."""
    off = [one for one in state["instigators"] if one["runs_by_default"] and not one["running"]]
    for one in off:
        yield warning(
            f"{one['kind']} {one['name']} ({one['location']}) is stopped, and its definition says"
            " that it runs",
            f"start it in the UI: Automation, {one['name']}",
        )
    if not off:
        never = sum(not one["running"] for one in state["instigators"])
        yield ok(f"none; {never} are off by their definition" if never else "none")


@check("pools", GROUP, BOTH)
def pools(facts: Facts) -> Iterator[Finding]:
    """No pool is closed."""
    yield from closed(facts.state)


def closed(state: State) -> Iterator[Finding]:
    """Pools with the limit 0: what needs them waits forever."""
    found = False
    for one in state["pools"]:
        if one["limit"] == 0:
            found = True
            waiting = one["pendingStepCount"]
            yield error(
                f"pool {one['concurrencyKey']} has the limit 0: {waiting} steps wait for it",
                "a limit from 1 in the UI: Deployment, Concurrency",
            )
    if state["default_pool_limit"] == 0:
        found = True
        yield error("pools have the limit 0 by default", "default_limit in dagster.yaml; make up")
    if not found:
        yield ok(f"{len(state['pools'])} pools, each with room")


@check("daemons", GROUP, BOTH)
def daemons(facts: Facts) -> Iterator[Finding]:
    """The daemon's parts are alive."""
    yield from heartbeats(facts.state)


def heartbeats(state: State) -> Iterator[Finding]:
    """Parts of the daemon that are silent, or report errors."""
    now = datetime.fromisoformat(state["time"]).timestamp()
    wanted = [one for one in state["daemons"] if one["required"]]
    found = False
    for one in wanted:
        last = one["lastHeartbeatTime"]
        if not last or now - last > _HEARTBEAT_S:
            age = f"for {(now - last) / 60:.0f} min" if last else "since it was set up"
            found = True
            yield error(
                f"{one['daemonType']} has given no sign of life {age}",
                "make logs SERVICE=daemon; docker compose restart daemon",
            )
        elif one["lastHeartbeatErrors"]:
            message = str(one["lastHeartbeatErrors"][0]["message"]).strip().splitlines()
            found = True
            yield warning(
                f"{one['daemonType']} reports: {message[-1] if message else 'an error'}",
                "make logs SERVICE=daemon",
            )
    if not found:
        yield ok(f"{len(wanted)} parts are alive")


@check("connections", GROUP)
def connections(facts: Facts) -> Iterator[Finding]:
    """Postgres has connections left, and no location has used its own up."""
    [[most]] = facts.query("SHOW max_connections")
    rows = facts.query(
        "SELECT rolname, rolconnlimit, count(pid) FROM pg_roles"
        " LEFT JOIN pg_stat_activity ON usesysid = pg_roles.oid"
        " WHERE rolcanlogin GROUP BY 1, 2"
    )
    yield from used_up(int(most), [(name, int(limit), int(used)) for name, limit, used in rows])


def used_up(most: int, roles: list[tuple[str, int, int]]) -> Iterator[Finding]:
    """Whether connections are nearly used up: of the server, and of each role with a limit."""
    total = sum(used for _, _, used in roles)
    found = False
    if total > _SHARE_OF_CONNECTIONS * most:
        found = True
        yield error(
            f"{total} of {most} connections are used", "POSTGRES_CONNECTIONS in .env; make up"
        )
    for name, limit, used in roles:
        if limit > 0 and used > _SHARE_OF_CONNECTIONS * limit:
            found = True
            yield warning(
                f"role {name} uses {used} of its {limit} connections",
                "LOCATION_CONNECTIONS in .env; make up; or fewer runs of it at once",
            )
    if not found:
        yield ok(f"{total} of {most} are used")

"""What schedules and sensors last did: which of them fail, since when, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from control_plane.graphql import FAILED_TICKS_QUERY, LAST_GOOD_TICK_QUERY, TICKS_QUERY, ask
from control_plane.status import GRPC_NOISE

# A tick is over within seconds; one that has gone on for this long does not end.
_STUCK_S = 900
# The first window in which a first failure is looked for. Each one after it is twice as long.
_WINDOW_S = 60.0
_EDGE_S = 1e-3

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Instigator:
    """A schedule or sensor, with its last tick."""

    kind: str
    """schedule or sensor."""
    name: str
    location: str
    repository: str
    running: bool
    runs_by_default: bool
    """As its definition says; people may have stopped it since."""
    last_status: str | None
    """SUCCESS, SKIPPED, FAILURE or STARTED; None before the first tick."""
    last_tick: datetime | None
    error: str | None
    """The first line of what the last tick failed with."""
    waiting_runs: tuple[str, ...]
    """Runs of the last tick that were made, and reached no queue."""


@dataclass(frozen=True)
class Failure:
    """A schedule or sensor whose last tick failed, or made a run that reached no queue."""

    kind: str
    name: str
    location: str
    since: datetime
    """The first failure of the present series."""
    last_tick: datetime
    error: str

    @property
    def title(self) -> str:
        """Such as: schedule sync_tables_job_schedule (elt)."""
        return f"{self.kind} {self.name} ({self.location})"


def fetch(url: str) -> list[Instigator]:
    """All schedules and sensors of locations that are loaded."""
    return parse(ask(url, TICKS_QUERY))


def failures(url: str, found: Iterable[Instigator], now: datetime | None = None) -> list[Failure]:
    """Those of ``found`` that are on and fail, by location."""
    now = now or datetime.now(UTC)
    failing = []
    for one in found:
        problem = reason(one, now)
        if problem is None or one.last_tick is None:
            continue
        since = one.last_tick
        if one.last_status == "FAILURE":
            since = _since(url, one)
        failing.append(Failure(one.kind, one.name, one.location, since, one.last_tick, problem))
    return sorted(failing, key=lambda one: (one.location, one.name))


def reason(one: Instigator, now: datetime) -> str | None:
    """Why a schedule or sensor does not do what it should; None when it does, or is stopped."""
    if not one.running or one.last_tick is None:
        return None
    if one.last_status == "FAILURE":
        return one.error or "its tick failed without a message"
    if one.waiting_runs:
        return f"its run {one.waiting_runs[0]} was created, but did not reach the queue"
    age_s = (now - one.last_tick).total_seconds()
    if one.last_status == "STARTED" and age_s > _STUCK_S:
        return f"its tick has not ended for {age_s / 60:.0f} min"
    return None


def parse(data: Mapping[str, Any]) -> list[Instigator]:
    """Read the answer to TICKS_QUERY; a workspace that does not load has none."""
    entries = data["workspaceOrError"].get("locationEntries") or []
    return [
        _instigator(kind, one, entry["name"], repository["name"])
        for entry in entries
        for repository in (entry["locationOrLoadError"] or {}).get("repositories") or []
        for kind in ("schedule", "sensor")
        for one in repository[f"{kind}s"]
    ]


def _instigator(kind: str, one: Mapping[str, Any], location: str, repository: str) -> Instigator:
    state = one[f"{kind}State"]
    last = (state["ticks"] or [None])[0]
    return Instigator(
        kind=kind,
        name=one["name"],
        location=location,
        repository=repository,
        running=state["status"] == "RUNNING",
        runs_by_default=one["defaultStatus"] == "RUNNING",
        last_status=last["status"] if last else None,
        last_tick=datetime.fromtimestamp(last["timestamp"], UTC) if last else None,
        error=_first_line(last["error"]) if last and last["error"] else None,
        waiting_runs=tuple(
            run["id"] for run in (last or {}).get("runs") or [] if run["status"] == "NOT_STARTED"
        ),
    )


def _first_line(error: Mapping[str, Any]) -> str:
    """Of the innermost message: what wraps it names Dagster's functions, not the cause."""
    messages = [error["message"], *(one["error"]["message"] for one in error["errorChain"] or [])]
    said = [message for message in messages if not message.startswith(GRPC_NOISE)]
    lines = [line.strip() for line in (said or messages)[-1].splitlines() if line.strip()]
    return lines[0] if lines else "no message"


def _since(url: str, one: Instigator) -> datetime:
    """When the present series of failures began."""
    last = one.last_tick or datetime.now(UTC)
    selector = {
        "repositoryName": one.repository,
        "repositoryLocationName": one.location,
        "name": one.name,
    }

    def timestamps(query: str, **more: float) -> list[float]:
        state = ask(url, query, {"selector": selector, **more})["instigationStateOrError"]
        return [tick["timestamp"] for tick in state.get("ticks") or []]

    good = timestamps(LAST_GOOD_TICK_QUERY)
    # The retention of ticks may have removed the last good one.
    after = good[0] if good else None

    def failed(bounds: Bounds) -> list[float]:
        return timestamps(FAILED_TICKS_QUERY, after=bounds[0], before=bounds[1])

    first = first_failure(failed, after, last.timestamp())
    return datetime.fromtimestamp(first, UTC)


def first_failure(
    failed: Callable[[Bounds], list[float]], after: float | None, last: float
) -> float:
    """The earliest failed tick between ``after``, the last good one, and ``last``.

    A sensor that has failed for a week has 20,000 failed ticks. They are looked at in windows that
    double, so that the one which holds the first failure holds few others. Without a good tick
    the windows go back from ``last``, until several in a row hold no failure.
    """
    window = _WINDOW_S
    if after is not None:
        begin = after
        while begin <= last:
            # Both ends are left out, as those of a query are.
            if found := failed((begin, begin + window + _EDGE_S)):
                return min(found)
            begin, window = begin + window, window * 2
        return last
    end, first, empty = last, last, 0
    while end > 0 and empty < 12:
        if found := failed((max(end - window, 0), end + _EDGE_S)):
            first, empty = min(first, *found), 0
        else:
            empty += 1
        end, window = end - window, window * 2
    return first

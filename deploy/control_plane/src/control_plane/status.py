"""What the stack serves: locations, their images, and when schedules tick next."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

from control_plane.errors import StackError
from control_plane.graphql import RELOAD_MUTATION, WORKSPACE_QUERY, ask

# How gRPC prints a call that nobody answered; it names sockets, not the cause.
GRPC_NOISE = "grpc._channel._InactiveRpcError"

_PLACE = re.compile(r'File "(?:.*/)?([^/"]+)", line (\d+)$')

_LOOK_S = 0.2
_LOOKS_BEFORE_RELOAD = 15


@dataclass(frozen=True)
class Schedule:
    """One schedule; ``next_tick`` is UTC, None while it is stopped."""

    name: str
    cron: str
    timezone: str
    running: bool
    next_tick: datetime | None


@dataclass(frozen=True)
class Location:
    """One code location; ``error`` is None when it is loaded."""

    name: str
    loading: bool
    error: str | None
    image: str | None
    schedules: tuple[Schedule, ...]

    @property
    def state(self) -> str:
        """LOADING, LOADED or ERROR."""
        if self.loading:
            return "LOADING"
        return "ERROR" if self.error else "LOADED"


@dataclass(frozen=True)
class Status:
    """The whole workspace, as the webserver at ``url`` sees it."""

    url: str
    version: str
    locations: tuple[Location, ...]

    def broken(self) -> list[Location]:
        """Locations that failed to load."""
        return [location for location in self.locations if location.error]

    def only(self, name: str) -> Status:
        """The same for one location. Raises StackError when it is not among them."""
        found = tuple(location for location in self.locations if location.name == name)
        if not found:
            raise StackError(f"the webserver at {self.url} knows no code location {name!r}")
        return replace(self, locations=found)

    def to_json(self) -> dict[str, Any]:
        """Plain data for machines."""
        return asdict(self)


def fetch(url: str) -> Status:
    """Ask the webserver once. Raises httpx.HTTPError while it cannot be reached."""
    return parse(url, ask(url, WORKSPACE_QUERY))


def wait(url: str, seconds: float, expect: Collection[str] = ()) -> Status:
    """Ask until every location has loaded or failed, for ``seconds`` at most.

    ``expect`` names locations that must be among them. Raises StackError when the webserver
    has not answered by then; a location that still loads is returned as such.
    """

    def unsettled(status: Status) -> bool:
        names = {location.name for location in status.locations}
        waiting = any(
            location.loading
            or any(schedule.running and not schedule.next_tick for schedule in location.schedules)
            for location in status.locations
        )
        return waiting or not names.issuperset(expect)

    last: list[Status] = []

    def once() -> Status:
        last[:] = [fetch(url)]
        return last[0]

    try:
        return Retrying(
            retry=retry_if_exception_type(httpx.HTTPError) | retry_if_result(unsettled),
            stop=stop_after_delay(seconds),
            wait=wait_fixed(0.5),
        )(once)
    except RetryError as error:
        if last:
            return last[0]
        reason = error.last_attempt.exception()
        raise StackError(f"the webserver at {url} does not answer: {reason}") from None


def await_release(url: str, name: str, image: str, seconds: float) -> None:
    """Wait until the webserver has loaded location ``name`` from ``image``.

    Raises StackError that says what it has instead after ``seconds``.
    """
    looks = 0

    def seen() -> Location | None:
        nonlocal looks
        looks += 1
        # It notices by itself, within two seconds; but while two servers had the name it may
        # have noticed the new one and loaded the old one.
        if looks % _LOOKS_BEFORE_RELOAD == 0:
            ask(url, RELOAD_MUTATION, {"name": name})
        found = [location for location in fetch(url).locations if location.name == name]
        return found[0] if found else None

    def other(location: Location | None) -> bool:
        return location is None or location.state != "LOADED" or location.image != image

    retrying = Retrying(
        retry=retry_if_exception_type(httpx.HTTPError) | retry_if_result(other),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(_LOOK_S),
    )
    try:
        retrying(seen)
    except RetryError as error:
        problem = error.last_attempt.exception()
        location = None if problem else error.last_attempt.result()
        has = location and (location.error or f"{location.state}, image {location.image}")
        raise StackError(f"{name} is {problem or has or 'not in the workspace'}") from None


def parse(url: str, data: Mapping[str, Any]) -> Status:
    """Read the answer to WORKSPACE_QUERY."""
    workspace = data["workspaceOrError"]
    if workspace["__typename"] != "Workspace":
        raise StackError(f"the workspace does not load: {_last_line(workspace['message'])}")
    locations = tuple(_location(entry) for entry in workspace["locationEntries"])
    return Status(url, data["version"], locations)


def _location(entry: Mapping[str, Any]) -> Location:
    loaded = entry["locationOrLoadError"] or {}
    repositories = loaded.get("repositories") or []
    return Location(
        name=entry["name"],
        loading=entry["loadStatus"] == "LOADING",
        error=_root_cause(loaded) if loaded.get("__typename") == "PythonError" else None,
        image=_image(repositories),
        schedules=tuple(
            _schedule(schedule)
            for repository in repositories
            for schedule in repository["schedules"]
        ),
    )


def _image(repositories: list[Mapping[str, Any]]) -> str | None:
    for repository in repositories:
        for item in repository["displayMetadata"]:
            if item["key"] == "image":
                return str(item["value"])
    return None


def _schedule(schedule: Mapping[str, Any]) -> Schedule:
    state = schedule["scheduleState"]
    tick = state["nextTick"]
    return Schedule(
        name=schedule["name"],
        cron=schedule["cronSchedule"],
        timezone=schedule["executionTimezone"] or "UTC",
        running=state["status"] == "RUNNING",
        next_tick=datetime.fromtimestamp(tick["timestamp"], UTC) if tick else None,
    )


def _root_cause(error: Mapping[str, Any]) -> str:
    """The innermost message of a load error, in one line."""
    chain = [link["error"]["message"] for link in error.get("errorChain") or []]
    messages = [message for message in chain if not message.startswith(GRPC_NOISE)]
    if len(messages) < len(chain):
        return "its code server does not answer; see its log"
    return _last_line([error["message"], *messages][-1])


def _last_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    # Of an error in the syntax, the first line says where.
    place = _PLACE.match(lines[0]) if len(lines) > 1 else None
    where = f" ({place[1]}, line {place[2]})" if place else ""
    return lines[-1] + where if lines else "no reason given"

"""Sensors, schedules and automation request work of their own repository only.

What they ask for comes from a code server, which a team may have changed into anything, and the
daemon would launch it wherever it names: a backfill of another location's assets runs there, with
that location's secrets and the asker's configuration. So what a tick answers is checked before
anything of it is stored; one foreign name fails the tick. People launch what they like from the
user interface, across locations, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

from compose_run_launcher.belongs import REQUESTED_BY_TAG
from compose_run_launcher.internals import DOCKER_CONTAINER_ID_TAG, DOCKER_IMAGE_TAG
from compose_run_launcher.worker import PROOF_TAG, TICKET_TAG
from dagster import AssetCheckEvaluation, AssetKey, DagsterError, RunRequest

from control_plane.internals.ticks import (
    BACKFILL_ID_TAG,
    SUBMIT,
    SUBMIT_ALL,
    AssetCheckKey,
    AssetJobKey,
    CodeLocation,
    EntityKey,
    RepositoryHandle,
    ask_by,
    copy,
    is_record,
    location_of_schedule,
    location_of_sensor,
    submit,
    submit_all,
)
from control_plane.run_writes import Unstorable, problem_of_request

# What the control plane writes to runs. A sensor that passes on all tags of an earlier run means
# no harm by it, so they are left out, and not refused.
RESERVED_TAGS = frozenset(
    {
        BACKFILL_ID_TAG,
        DOCKER_CONTAINER_ID_TAG,
        DOCKER_IMAGE_TAG,
        PROOF_TAG,
        REQUESTED_BY_TAG,
        TICKET_TAG,
    }
)
# The location whose automation the asset daemon submits for, in this task.
_requester: ContextVar[str] = ContextVar("requester")


class ForeignRequest(DagsterError):
    """A tick asked for work of another repository; nothing was launched."""


def keep_requests_in_their_repository() -> None:
    """Let this process's daemons launch only what belongs to who asks for it."""

    async def submit_own(daemon: Any, **named: Any) -> Any:
        asking, graph = named["remote_sensor"], named["workspace"].asset_graph
        if asking is not None:
            own = asking.handle.repository_handle
            # These are what it submits; after an interruption, of an earlier evaluation.
            for _, request in named["tick_context"].tick.reserved_run_ids_with_requests:
                _check_keys(asking.name, own, graph, _automated_keys(request))
            _requester.set(own.location_name)
        return await submit_all(daemon, **named)

    async def submit_marked(daemon: Any, **named: Any) -> Any:
        location = _requester.get(None)
        if location is not None:
            named["run_request"] = marked(named["run_request"], location)
        return await submit(daemon, **named)

    ask_by(_guarded(location_of_sensor), _guarded(location_of_schedule))
    SUBMIT_ALL.replace(submit_own)
    SUBMIT.replace(submit_marked)


def checked(data: Any, name: str, own: RepositoryHandle, location: Any, graph: Any) -> Any:
    """What a tick of ``name`` answered, with the control plane's tags alone.

    ``data`` is sensor or schedule execution data; ``graph()`` is the workspace's asset graph, in
    which a backfill finds the location of each asset. Raises ForeignRequest and Unstorable.
    """
    requests: Sequence[RunRequest] = data.run_requests or ()
    repository = location.get_repository(own.repository_name)
    for request in requests:
        if request.job_name is not None and not repository.has_job(request.job_name):
            raise ForeignRequest(_sentence(name, own, f"job {request.job_name}", None))
        # In a run of the location's own job the location itself decides what a key means.
        keys = [key for key in request.entity_keys if not _is_known(repository.asset_graph, key)]
        if request.asset_graph_subset is not None:
            keys += request.asset_graph_subset.asset_keys
        if keys:
            _check_keys(name, own, graph(), keys)
    events = getattr(data, "asset_events", ())
    if events:
        _check_keys(name, own, graph(), _foreign_to(repository.asset_graph, events, graph()))
    if not requests:
        return data
    for request in requests:
        problem = problem_of_request(request.tags, request.run_config)
        if problem is not None:
            raise Unstorable(f"{name} of location {own.location_name} asked for a run: {problem}")
    kept = [marked(one, own.location_name) for one in requests]
    # A sensor's is a record, a schedule's a named tuple.
    replaced = partial(copy, data) if is_record(data) else data._replace
    return replaced(run_requests=kept)


def marked(request: RunRequest, location: str) -> RunRequest:
    """The request with the tag by which the launcher knows who asked for its run.

    A backfill is launched later, and where its assets are by then.
    """
    tags = {key: value for key, value in request.tags.items() if key not in RESERVED_TAGS}
    return request.with_replaced_attrs(tags={**tags, REQUESTED_BY_TAG: location})


def _guarded(location_of: Callable[..., CodeLocation]) -> Callable[..., Any]:
    def guarded(process_context: Any, asking: Any) -> Any:
        return _GuardedLocation(location_of(process_context, asking), process_context)

    return guarded


class _GuardedLocation:
    """A code location whose answers to ticks are checked."""

    def __init__(self, location: CodeLocation, process_context: Any) -> None:
        self._location = location
        self._process_context = process_context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._location, name)

    def get_sensor_execution_data(
        self, instance: Any, own: RepositoryHandle, name: str, *rest: Any
    ) -> Any:
        data = self._location.get_sensor_execution_data(instance, own, name, *rest)
        return checked(data, name, own, self._location, self._asset_graph)

    def get_schedule_execution_data(self, **named: Any) -> Any:
        data = self._location.get_schedule_execution_data(**named)
        own, name = named["repository_handle"], named["schedule_name"]
        return checked(data, name, own, self._location, self._asset_graph)

    def _asset_graph(self) -> Any:
        return self._process_context.create_request_context().asset_graph


def _automated_keys(request: RunRequest) -> list[EntityKey]:
    if request.asset_graph_subset is not None:
        return list(request.asset_graph_subset.asset_keys)
    if request.is_job_entity_request and request.job_name is not None:
        return [AssetJobKey(request.job_name)]
    return list(request.entity_keys)


def _foreign_to(own_graph: Any, events: Iterable[Any], graph: Any) -> Iterator[EntityKey]:
    """Of the keys that events name, those that are another's: nobody's may be reported."""
    for event in events:
        key: EntityKey = event.asset_key
        if isinstance(event, AssetCheckEvaluation):
            key = AssetCheckKey(event.asset_key, event.check_name)
        if not _is_known(own_graph, key) and _is_known(graph, key):
            yield key


def _is_known(graph: Any, key: EntityKey) -> bool:
    """Whether somebody executes it; what only others depend on is not a definition."""
    return bool(graph.has(key) and (not isinstance(key, AssetKey) or graph.get(key).is_executable))


def _check_keys(name: str, own: RepositoryHandle, graph: Any, keys: Iterable[EntityKey]) -> None:
    for key in keys:
        found = graph.get_repository_handle(key) if graph.has(key) else None
        if found is None or _identity(found) != _identity(own):
            raise ForeignRequest(_sentence(name, own, _described(key), found))


def _identity(handle: RepositoryHandle) -> tuple[str, str]:
    return handle.location_name, handle.repository_name


def _described(key: EntityKey) -> str:
    if isinstance(key, AssetKey):
        return f"asset {key.to_user_string()}"
    return f"job {key.job_name}" if isinstance(key, AssetJobKey) else f"asset check {key.name}"


def _sentence(name: str, own: RepositoryHandle, what: str, found: RepositoryHandle | None) -> str:
    whose = "no location has" if found is None else f"location {found.location_name} has"
    return (
        f"{name} of location {own.location_name} asked for {what:.200}, which {whose}. Sensors,"
        " schedules and automation launch what their own repository defines; launch the rest from"
        " the user interface, or let its own location react to what happens here."
    )

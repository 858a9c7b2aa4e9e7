"""What a code server defines, in a form that two releases can be compared by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster
from dagster import DagsterError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from control_plane.clashes import Claims, claims, clashes, united
from control_plane.errors import StackError
from control_plane.internals.code_servers import (
    AssetExecutionType,
    CheckError,
    DagsterGrpcClient,
    DagsterUserCodeUnreachableError,
    GrpcServerCodeLocationOrigin,
    ListRepositoriesResponse,
    RemoteRepositoryOrigin,
    RepositoryErrorSnap,
    RepositorySnap,
    SerializableErrorInfo,
    deserialize_value,
    serialize_value,
)
from control_plane.locations import serves

# Where a definition is in its source, and what differs from process to process.
_NOT_THE_DEFINITION = {"__class__", "metadata_fields", "execution_set_identifier"}


def report(
    candidate: str, live: str | None, others: Mapping[str, str], seconds: float
) -> dict[str, Any]:
    """What ``candidate`` (host:port) serves, and ``live`` beside it, as plain data.

    Keys: ``control_plane`` (this Dagster's version), ``candidate`` and ``live``: see
    _definitions_of(); ``live`` is None when nothing serves there; ``clashes``: see clashes(), with
    ``others`` ({location: host:port}); ``silent``: those of them that do not serve. Waits
    ``seconds`` for the candidate. Raises StackError when it does not serve by then, or cannot be
    understood.
    """
    now = _when_it_serves(candidate, seconds)
    before = _if_it_serves(live)
    beside = {name: _claims_if_it_serves(address) for name, address in others.items()}
    known = {name: claimed for name, claimed in beside.items() if claimed is not None}
    return {
        "control_plane": dagster.__version__,
        "candidate": _definitions_of(now),
        "live": _definitions_of(before) if before else None,
        "clashes": clashes(_claims_of(now), _claims_of(before) if before else {}, known),
        "silent": sorted(beside.keys() - known.keys()),
    }


@dataclass(frozen=True)
class Served:
    """What a code server serves."""

    image: str | None
    dagster: str | None
    """Its version."""
    repositories: list[RepositorySnap]


def ask(address: str) -> Served:
    """What the code server at ``address`` serves.

    Raises DagsterUserCodeUnreachableError while it does not serve, StackError when its answer
    cannot be understood.
    """
    host, _, port = address.partition(":")
    client = DagsterGrpcClient(host=host, port=int(port))
    answer = deserialize_value(
        client.list_repositories(), (ListRepositoriesResponse, SerializableErrorInfo)
    )
    if isinstance(answer, SerializableErrorInfo):
        raise StackError(f"its code does not load: {answer.message.strip()}")
    origin = GrpcServerCodeLocationOrigin(host=host, port=int(port), location_name="release")
    return Served(
        answer.container_image,
        (answer.dagster_library_versions or {}).get("dagster"),
        [
            _repository(client, RemoteRepositoryOrigin(origin, name))
            for name in answer.repository_code_pointer_dict
        ],
    )


def _definitions_of(served: Served) -> dict[str, Any]:
    """For the comparison of two releases.

    Keys: ``image`` (or None), ``dagster`` (version or None), ``definitions`` ({kind: {name:
    {field: fingerprint}}}), ``variables`` ({name: [who reads it]}).
    """
    return {
        "image": served.image,
        "dagster": served.dagster,
        "definitions": _merged([_definitions(one) for one in served.repositories]),
        "variables": {
            name: sorted(consumer.name for consumer in consumers)
            for repository in served.repositories
            for name, consumers in (repository.utilized_env_vars or {}).items()
        },
    }


def _claims_of(served: Served) -> Claims:
    return united([claims(one) for one in served.repositories])


def drain(address: str) -> None:
    """Have the code server at ``address`` take no more calls, answer those it has, and end.

    Asked by a signal it would break them off. Raises StackError when it cannot be asked.
    """
    host, _, port = address.partition(":")
    try:
        DagsterGrpcClient(host=host, port=int(port)).shutdown_server()
    except DagsterUserCodeUnreachableError as error:
        raise StackError(f"the code server at {address} cannot be asked to end: {error}") from None


def _when_it_serves(address: str, seconds: float) -> Served:
    try:
        return Retrying(
            retry=retry_if_exception_type(DagsterUserCodeUnreachableError),
            stop=stop_after_delay(seconds),
            wait=wait_fixed(0.1),
            reraise=True,
        )(ask, address)
    except DagsterUserCodeUnreachableError as error:
        raise StackError(f"it did not serve within {seconds:.0f} s: {error}") from None


def _if_it_serves(address: str | None) -> Served | None:
    try:
        return ask(address) if address else None
    except (DagsterUserCodeUnreachableError, StackError):
        return None


def _claims_if_it_serves(address: str) -> Claims | None:
    # One that hangs is waited for for a minute by each call, and for two seconds by this one.
    served = _if_it_serves(address) if serves(address) else None
    return _claims_of(served) if served else None


def _repository(client: DagsterGrpcClient, origin: RemoteRepositoryOrigin) -> RepositorySnap:
    try:
        text = client.external_repository(origin, defer_snapshots=True)
        snap = deserialize_value(text, (RepositorySnap, RepositoryErrorSnap))
    except DagsterUserCodeUnreachableError:
        raise
    except (DagsterError, CheckError, TypeError, ValueError) as error:
        raise StackError(
            f"the control plane's Dagster {dagster.__version__} does not understand its"
            f" definitions: {error}"
        ) from None
    if isinstance(snap, RepositoryErrorSnap):
        why = snap.error.message.strip() if snap.error else "no reason given"
        raise StackError(f"its code does not load: {why}")
    return snap


def _definitions(snap: RepositorySnap) -> dict[str, dict[str, dict[str, str]]]:
    # Assets of other locations that this one depends on are not its own.
    own = [
        node for node in snap.asset_nodes if node.execution_type != AssetExecutionType.UNEXECUTABLE
    ]
    jobs = [job for job in snap.get_job_refs() if not job.name.startswith("__")]
    return {
        "asset": {node.asset_key.to_user_string(): _fields(node) for node in own},
        "asset check": {
            f"{check.asset_key.to_user_string()}:{check.name}": _fields(check)
            for check in snap.asset_check_nodes or ()
        },
        "job": _by_name(jobs),
        "schedule": _by_name(snap.schedules),
        "sensor": _by_name(snap.sensors),
        "resource": _by_name(snap.resources or ()),
    }


def _by_name(snaps: Iterable[Any]) -> dict[str, dict[str, str]]:
    return {snap.name: _fields(snap) for snap in snaps}


def _fields(snap: Any) -> dict[str, str]:
    """A fingerprint per field, so that a difference can be named."""
    fields: dict[str, Any] = json.loads(serialize_value(snap))
    return {
        name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
        for name, value in fields.items()
        if name not in _NOT_THE_DEFINITION
    }


def _merged(parts: list[dict[str, dict[str, dict[str, str]]]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for kind, found in part.items():
            merged.setdefault(kind, {}).update(found)
    return merged

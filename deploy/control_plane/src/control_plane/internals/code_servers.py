"""What is needed to ask code servers, and to compare what two of them serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compose_run_launcher.private_names import Hook, Incompatible, attribute, needed_by

with needed_by("the comparison of releases"):
    from dagster._check import CheckError as CheckError
    from dagster._core.definitions.assets.definition.asset_spec import (
        AssetExecutionType as AssetExecutionType,
    )
    from dagster._core.definitions.automation_condition_sensor_definition import (
        DEFAULT_AUTOMATION_CONDITION_SENSOR_NAME as DEFAULT_AUTOMATION_CONDITION_SENSOR_NAME,
    )
    from dagster._core.errors import (
        DagsterUserCodeUnreachableError as DagsterUserCodeUnreachableError,
    )
    from dagster._core.remote_origin import (
        GrpcServerCodeLocationOrigin as GrpcServerCodeLocationOrigin,
    )
    from dagster._core.remote_origin import RemoteRepositoryOrigin as RemoteRepositoryOrigin
    from dagster._core.remote_representation.external_data import (
        RepositoryErrorSnap as RepositoryErrorSnap,
    )
    from dagster._core.remote_representation.external_data import RepositorySnap as RepositorySnap
    from dagster._grpc.__generated__.dagster_api_pb2_grpc import DagsterApiStub as DagsterApiStub
    from dagster._grpc.client import DEFAULT_GRPC_TIMEOUT as DEFAULT_GRPC_TIMEOUT
    from dagster._grpc.client import DagsterGrpcClient as DagsterGrpcClient
    from dagster._grpc.types import ListRepositoriesResponse as ListRepositoriesResponse
    from dagster._serdes import deserialize_value as deserialize_value
    from dagster._serdes import serialize_value as serialize_value
    from dagster_shared.error import SerializableErrorInfo as SerializableErrorInfo

# What both watch once a second: dagster/_grpc/server_watcher.py, WATCH_INTERVAL.
GET_SERVER_ID = "GetServerId"
SERVER_ADDRESS = "_server_address"
_GIVEN = "_given_server_address"


def translate_addresses(translate: Callable[[str], str]) -> None:
    """Have all clients of this process connect to what ``translate`` makes of ``host:port``.

    Dagster has no setting for it. Without it a location is loaded half from one release and half
    from another while a release is switched. Raises Incompatible when clients keep their address
    elsewhere, or in another form.
    """
    needed = "loading a location from one server while a release is switched"
    address = attribute(DagsterGrpcClient(host="host", port=1), SERVER_ADDRESS, needed)
    if address != "host:1":
        raise Incompatible("dagster", f"keeps {address!r} as DagsterGrpcClient's address", needed)

    def get(client: Any) -> str:
        # Read whenever a call opens its connection.
        return translate(getattr(client, _GIVEN))

    def put(client: Any, given: str) -> None:
        setattr(client, _GIVEN, given)

    setattr(DagsterGrpcClient, SERVER_ADDRESS, property(get, put))


GET_RESPONSE = Hook(
    DagsterGrpcClient,
    "_get_response",
    ("self", "method", "request", "timeout"),
    "asking a code server over a connection that stays open",
)
HOOKS = (GET_RESPONSE,)
get_response = GET_RESPONSE.original()


def address_of(client: DagsterGrpcClient) -> str:
    """What the client would connect to now."""
    return str(getattr(client, SERVER_ADDRESS))


def check_hooks() -> None:
    """Raise Incompatible for the first hook that is not what we rely on."""
    for hook in HOOKS:
        hook.original()


check_hooks()

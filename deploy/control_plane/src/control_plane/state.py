"""All that Dagster says about its own health, as one answer for `make doctor`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from control_plane import status, ticks
from control_plane.graphql import INSTANCE_QUERY, ask


@dataclass(frozen=True)
class State:
    """The workspace, its schedules and sensors, daemons and pools, as the webserver sees them."""

    time: datetime
    """Of the webserver's clock, UTC."""
    status: status.Status
    instigators: tuple[ticks.Instigator, ...]
    failing: tuple[ticks.Failure, ...]
    daemons: tuple[dict[str, Any], ...]
    pools: tuple[dict[str, Any], ...]
    default_pool_limit: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain data for machines."""
        return asdict(self)


def fetch(url: str, seconds: float) -> State:
    """Ask the webserver. Raises StackError when it does not answer within ``seconds``."""
    current = status.wait(url, seconds)
    found = ticks.fetch(url)
    instance = ask(url, INSTANCE_QUERY)["instance"]
    return State(
        time=datetime.now(UTC),
        status=current,
        instigators=tuple(found),
        failing=tuple(ticks.failures(url, found)),
        daemons=tuple(instance["daemonHealth"]["allDaemonStatuses"]),
        pools=tuple(instance["concurrencyLimits"]),
        default_pool_limit=(instance["poolConfig"] or {}).get("defaultPoolLimit"),
    )

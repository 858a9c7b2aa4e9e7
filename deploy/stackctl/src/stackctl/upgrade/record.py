"""How far an upgrade of the stack has come: one file in its volume of release records."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from stackctl.docker import docker
from stackctl.stack import Stack

_FILE = "/releases/upgrade.json"

SWITCHING = "switching"
"""Under way, or back. It can go on, or be undone."""
LIVE = "live"
"""Verified. It can be undone."""
UNDONE = "undone"


@dataclass(frozen=True)
class Upgrade:
    """One upgrade, from its switch on."""

    phase: str
    at: str
    """The moment before anything was changed; ISO 8601, UTC."""
    by: str
    dagster: str
    to_dagster: str
    former: dict[str, str]
    """Ids of the images before, by name."""
    new: dict[str, str]
    backup: str
    locations: list[str]
    """Those that have to load afterwards."""
    schema: list[str] = field(default_factory=list)
    """What the migration changes in tables."""
    reconfigured: list[str] = field(default_factory=list)
    """Services whose settings changed with the images."""

    @property
    def keeps_data(self) -> bool:
        """Whether the former control plane can go on with the database as it is."""
        return not self.schema


def read(stack: Stack) -> Upgrade | None:
    """The last upgrade; None before the first one."""
    text = _in_volume(stack, f"cat {_FILE} 2>/dev/null || true")
    return Upgrade(**json.loads(text)) if text.strip() else None


def write(stack: Stack, upgrade: Upgrade) -> None:
    """Replace what is recorded."""
    new = f"{_FILE}.new"
    _in_volume(stack, f"cat >{new} && mv {new} {_FILE}", json.dumps(asdict(upgrade)))


def _in_volume(stack: Stack, script: str, given: str = "") -> str:
    # By a container of its own: the services may be away.
    image = str(stack.config["services"]["webserver"]["image"])
    volume = stack.config["volumes"]["releases"]["name"]
    limits = ("--network=none", "--read-only", "--cap-drop=ALL", "--pull=never")
    options = ("--rm", "--interactive", *limits, f"--volume={volume}:/releases")
    return docker("run", *options, "--entrypoint=sh", image, "-c", script, given=given)

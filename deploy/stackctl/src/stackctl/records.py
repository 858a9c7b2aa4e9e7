"""When which release went live, by whom: a line of JSON each, in a volume of the stack."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from stackctl.control_plane import ControlPlane
from stackctl.errors import StackctlError
from stackctl.history import git

_FOLDER = "/var/lib/dagster/releases"


@dataclass(frozen=True)
class Record:
    """One release that went live."""

    release: str
    when: str
    """ISO 8601, UTC."""
    by: str
    revision: str
    """Commit of the checkout, or where the image came from."""
    how: str
    """deploy or rollback."""

    @property
    def line(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self)) + "\n"


def read(control: ControlPlane, location: str) -> list[Record]:
    """All records of a location, oldest first."""
    lines = control.read(f"{_FOLDER}/{location}.jsonl").splitlines()
    return [Record(**json.loads(line)) for line in lines if line.strip()]


def write(control: ControlPlane, location: str, record: Record) -> None:
    """Add one."""
    control.append(f"{_FOLDER}/{location}.jsonl", record.line)


def revision() -> str:
    """The checkout's commit; `-dirty` when files differ from it; unknown outside of git."""
    try:
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").strip()
    except StackctlError:
        return "unknown"

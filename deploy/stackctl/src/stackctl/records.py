"""When which release went live, by whom: a line of JSON each, in a volume of the stack."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from stackctl.control_plane import ControlPlane
from stackctl.docker import ROOT
from stackctl.errors import StackctlError
from stackctl.history import Files, git, untracked
from stackctl.image_inputs import images_of
from stackctl.service import Service

_DIRTY = "-dirty"
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
    """deploy, rollback, or compose: noted by the deployment that replaced it."""

    @property
    def line(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self)) + "\n"


def read(control: ControlPlane, location: str) -> list[Record]:
    """All records of a location, oldest first."""
    lines = control.read(f"{_FOLDER}/{location}.jsonl").splitlines()
    return [Record(**json.loads(line)) for line in lines if line.strip()]


def write(control: ControlPlane, location: str, *added: Record) -> None:
    """Add some."""
    control.append(f"{_FOLDER}/{location}.jsonl", "".join(record.line for record in added))


def way_back(records: Iterable[Record]) -> list[str]:
    """Releases that were live before the last one, the nearest first.

    A rollback takes off the way what it went back over; what is deployed then goes on from there.
    """
    way: list[str] = []
    for record in records:
        if record.how == "rollback" and record.release in way:
            while way[-1] != record.release:
                way.pop()
        elif way[-1:] != [record.release]:
            way.append(record.release)
    return way[-2::-1]


def revision(service: Service, folder: Path = ROOT) -> str:
    """The checkout's commit; unknown outside of git.

    With `-dirty` when a file differs from it, or when the location's image gets one that git does
    not know. Files that git ignores do not count.
    """
    try:
        described = git(
            "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*", folder=folder
        ).strip()
    except StackctlError:
        return "unknown"
    if described.endswith(_DIRTY) or not _gets_new_files(service, folder):
        return described
    return described + _DIRTY


def _gets_new_files(service: Service, folder: Path) -> bool:
    try:
        images = images_of(service.stack.config, Files(folder=folder))
        return any(
            image.is_made_of(path)
            for image in images
            if image.location == service.location
            for path in untracked(folder)
        )
    except StackctlError:
        # A build from a folder outside the repository: nobody can tell.
        return False

"""Which code locations there are and what each needs; one source per fact."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control_plane.errors import StackError
from control_plane.workspace import servers


@dataclass(frozen=True)
class Location:
    """A code location, started from its own folder and environment."""

    name: str
    folder: Path
    module: str
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / "bin" / "python"


def read_locations(root: Path) -> list[Location]:
    """The locations of the root workspace.yaml, with what locations.toml says of each.

    Raises StackError naming the file that is missing or cannot be read.
    """
    extras = _toml(root / "deploy" / "embedded" / "locations.toml")
    return [
        _location(root / "code_locations" / name, name, extras.get(name, {}))
        for name in servers(root / "workspace.yaml")
    ]


def _location(folder: Path, name: str, extra: Mapping[str, Any]) -> Location:
    project = _toml(folder / "pyproject.toml").get("tool", {}).get("dg", {}).get("project", {})
    package = project.get("root_module", name)
    return Location(
        name=name,
        folder=folder,
        module=project.get("code_location_target_module", f"{package}.definitions"),
        environment=dict(extra.get("environment", {})),
        settings=dict(extra.get("settings", {})),
        prepare=tuple(extra.get("prepare", ())),
    )


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise StackError(f"{path}: {error}") from None

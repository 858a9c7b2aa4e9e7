"""A copy of the project with many code locations that share one image.

The locations are added as `make location` adds one. What differs from one that a person would
write is in an additional Compose file: all use the first one's image, and each is told its name.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from stackctl.location import lists, scaffold
from stackctl.location.files import Project

HERE = Path(__file__).parent
PREFIX = "synthetic"
ADDITIONS = "compose.scale.yml"
# The project's own locations are neither started nor listed: figures are of synthetic ones alone.
_OWN = ("elt", "analytics")
_CODE = HERE / "location" / "synthetic.py"


@dataclass(frozen=True)
class Size:
    """One configuration that is measured."""

    locations: int
    assets: int
    standby: int

    @property
    def names(self) -> list[str]:
        """The code locations; the first one's image is everybody's."""
        return [f"{PREFIX}_{number}" for number in range(1, self.locations + 1)]


def with_locations(root: Path, names: Sequence[str]) -> Project:
    """The project's files with these code locations, and none of its own in workspace.yaml."""
    project = Project.read(root)
    for name in names:
        project = project.with_location(name)
    workspace = project.texts["workspace.yaml"]
    for name in _OWN:
        workspace = lists.remove_from_workspace(workspace, name)
    return Project(root, {**project.texts, "workspace.yaml": workspace})


def additions(size: Size) -> dict[str, Any]:
    """What the synthetic services have beside what `make location` writes."""
    shared = f"${{COMPOSE_PROJECT_NAME}}/{size.names[0]}:live"
    return {
        "services": {
            name: {
                # By the setting that `make deploy` gives a location's image with.
                "image": f"${{{name.upper()}_IMAGE:-{shared}}}",
                "environment": {
                    "DAGSTER_LOCATION_NAME": name,
                    "SYNTHETIC_ASSETS": str(size.assets),
                },
            }
            for name in size.names
        }
    }


def write(root: Path, size: Size) -> None:
    """Give a copy of the project the locations: files, the code of the one image, additions."""
    with_locations(root, size.names).write()
    (root / ADDITIONS).write_text(yaml.safe_dump(additions(size), sort_keys=False))
    folder = root / "code_locations" / size.names[0]
    scaffold.make(folder, size.names[0])
    definitions = folder / "src" / size.names[0] / "defs"
    shutil.rmtree(definitions)
    definitions.mkdir()
    (definitions / "__init__.py").touch()
    shutil.copyfile(_CODE, definitions / _CODE.name)

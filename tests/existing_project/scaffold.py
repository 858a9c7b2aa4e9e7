"""What `make location NAME=acme` leaves in code_locations/: a location of analytics' layout.

In its place, because it also changes a stack. The compose service, the role and the workspace
entry that it makes have no part in the guide's steps.
"""

from __future__ import annotations

import shutil
from pathlib import Path

_KEPT = (
    "pyproject.toml",
    "uv.lock",
    "src/analytics/__init__.py",
    "src/analytics/definitions.py",
    "src/analytics/location.py",
    "src/analytics/defs",
    "tests/test_definitions.py",
)


def make_location(repository: Path, name: str) -> None:
    """Write code_locations/<name>, with an example asset, as a copy of analytics'."""
    model, folder = repository / "code_locations/analytics", repository / "code_locations" / name
    for kept in _KEPT:
        source, target = model / kept, folder / kept.replace("analytics", name)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for file in folder.rglob("*"):
        if file.suffix in {".toml", ".lock", ".py"}:
            file.write_text(file.read_text().replace("analytics", name))

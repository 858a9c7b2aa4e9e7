"""What `make location NAME=acme` leaves in code_locations/: a location of analytics' layout.

In its place, because it also changes a stack. The compose service, the role and the workspace
entry that it makes have no part in the guide's steps.
"""

from __future__ import annotations

import shutil
from pathlib import Path


def make_location(repository: Path, name: str) -> None:
    """Write code_locations/<name>, with an example asset, as a copy of analytics'."""
    model, folder = repository / "code_locations/analytics", repository / "code_locations" / name
    shutil.copytree(model, folder)
    (folder / "src/analytics").rename(folder / "src" / name)
    for file in folder.rglob("*"):
        if file.suffix in {".toml", ".lock", ".py"}:
            file.write_text(file.read_text().replace("analytics", name))

"""The shared packages that a project uses, as its lock file names them."""

from __future__ import annotations

import tomllib
from pathlib import PurePosixPath

FOLDER = "packages"
"""Where they lie in the repository; the build context of this name, too."""


def used(lock: str) -> list[str]:
    """Names of the folders in packages/ that the text of a lock file names, sorted.

    A lock file names also those that a package needs. As deploy/code_location/used-packages.
    """
    sources = (package.get("source", {}) for package in tomllib.loads(lock).get("package", []))
    paths = [
        PurePosixPath(source.get("editable") or source.get("directory") or "") for source in sources
    ]
    return sorted(path.name for path in paths if path.parent.name == FOLDER)

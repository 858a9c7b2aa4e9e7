"""The shared packages that a project uses, as its lock file names them."""

from __future__ import annotations

import runpy
from collections.abc import Callable

from stackctl.docker import ROOT

FOLDER = "packages"
"""Where they lie in the repository; the build context of this name, too."""

used: Callable[[str], list[str]] = runpy.run_path(
    str(ROOT / "deploy" / "code_location" / "used-packages")
)["used"]
"""Names of the folders in packages/ that the text of a lock file names: as an image's build has it,
which runs this program where stackctl is not installed."""

"""What the daemon's own workspace serves, for those who want to know from outside.

The webserver answers this by GraphQL; the daemon has no port. So it keeps a file.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from dagster._core.workspace.context import IWorkspaceProcessContext

_PAUSE_S = 0.5


class ServedFile(threading.Thread):
    """Keeps ``path`` at {location: image, None while it is not loaded}."""

    def __init__(self, context: IWorkspaceProcessContext[Any], path: Path) -> None:
        super().__init__(name="served-file", daemon=True)
        self._context = context
        self._path = path

    def run(self) -> None:
        """Look twice a second; the entries are in memory."""
        last = None
        while True:
            now = _images(self._context)
            if now != last:
                fresh = self._path.with_suffix(".new")
                fresh.write_text(json.dumps(now))
                fresh.replace(self._path)
                last = now
            time.sleep(_PAUSE_S)


def _images(context: IWorkspaceProcessContext[Any]) -> dict[str, Any]:
    return {
        name: entry.code_location.container_image if entry.code_location else None
        for name, entry in context.create_request_context().get_code_location_entries().items()
    }

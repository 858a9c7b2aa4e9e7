"""What the daemon's own workspace serves: kept true, and told to those who ask from outside.

The webserver answers that by GraphQL; the daemon has no port. So it keeps a file.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from compose_run_launcher.threads import Endless

from control_plane.files import replace
from control_plane.internals.daemon import (
    DagsterUserCodeUnreachableError,
    GrpcServerCodeLocation,
    IWorkspaceProcessContext,
    WorkspaceProcessContext,
)

_PAUSE_S = 0.5
# Each question to a code server costs both sides CPU time, for as long as the stack is up.
_ASK_EVERY_S = 5.0
# Dagster's own look is once a second, and loading takes a moment.
_LOOKS_BEFORE_REFRESH = 6

logger = logging.getLogger(__name__)


class ServedFile(Endless):
    """Keeps ``path`` at {location: image, None while it is not loaded}.

    Dagster reloads a location when the id of its server changes. While a release is switched
    two servers have one name for a moment, and it may notice the new one and load the old one,
    which it would keep. What has been loaded is compared with what serves, therefore.
    """

    def __init__(self, context: IWorkspaceProcessContext[Any], path: Path) -> None:
        super().__init__("served-file")
        self._context = context
        self._path = path
        # Looks in a row that found another server than the one that was loaded.
        self._stale: dict[str, int] = {}
        # When the servers are asked next; those of stale locations are at each look.
        self._ask_at = time.monotonic()
        self._written: dict[str, str | None] | None = None

    def complete(self) -> bool:
        """Whether all locations are loaded, and each one from the server that served it last."""
        written = self._written
        return written is not None and None not in written.values() and not self._stale

    def follow(self) -> None:
        """Look twice a second at what is loaded."""
        self._look()
        time.sleep(_PAUSE_S)

    def _look(self) -> None:
        locations = self._loaded()
        now = {name: one.container_image if one else None for name, one in locations.items()}
        if now != self._written:
            replace(self._path, json.dumps(now).encode())
            self._written = now
        ask_all = time.monotonic() >= self._ask_at
        if ask_all:
            self._ask_at = time.monotonic() + _ASK_EVERY_S
        for name, location in locations.items():
            if ask_all or name in self._stale:
                self._refresh_if_stale(name, location)

    def _loaded(self) -> dict[str, GrpcServerCodeLocation | None]:
        entries = self._context.create_request_context().get_code_location_entries()
        found = {name: entry.code_location for name, entry in entries.items()}
        return {
            name: location if isinstance(location, GrpcServerCodeLocation) else None
            for name, location in found.items()
        }

    def _refresh_if_stale(self, name: str, location: GrpcServerCodeLocation | None) -> None:
        if location is None or not _other_serves(location):
            self._stale.pop(name, None)
            return
        self._stale[name] = self._stale.get(name, 0) + 1
        if self._stale[name] >= _LOOKS_BEFORE_REFRESH:
            logger.info("location %s is served by another server than was loaded", name)
            if isinstance(self._context, WorkspaceProcessContext):
                self._context.refresh_code_location(name)
            self._stale.pop(name)


def _other_serves(location: GrpcServerCodeLocation) -> bool:
    try:
        return bool(location.client.get_server_id(timeout=2) != location.server_id)
    except DagsterUserCodeUnreachableError:
        return False

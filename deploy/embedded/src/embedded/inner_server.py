"""The process in which a code server loads its location.

`dagster code-server start` is a proxy: it stays up, and answers with errors, when that process is
gone (seen in Dagster 1.13). Only a restart of the proxy brings the location back.
"""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from embedded.services import Running, command_line, is_alive

_LOOK_S = 1.0
# A reload ends the former process and has the next one already, but for a moment.
_GONE_S = 2.0


@dataclass
class InnerServer:
    """What is known of one proxy's process."""

    known: psutil.Process | None = None
    looked: float = 0.0
    gone_since: float | None = None

    def is_lost(self, proxy: Running, now: float) -> bool:
        """True when the proxy had one and has had none for two seconds.

        One that never had any is left alone: its definitions do not load, and a Reload in the UI
        tries again.
        """
        if self.known is not None and is_alive(self.known):
            return False
        if now - self.looked >= _LOOK_S:
            self.looked = now
            found = _find(proxy)
            if found is not None:
                self.known, self.gone_since = found, None
                return False
            if self.known is not None and self.gone_since is None:
                self.gone_since = now
        return self.gone_since is not None and now - self.gone_since >= _GONE_S


def _find(proxy: Running) -> psutil.Process | None:
    try:
        children = proxy.process.children()
    except psutil.Error:
        return None
    servers = [
        child for child in children if " api grpc " in command_line(child) and is_alive(child)
    ]
    return servers[-1] if servers else None

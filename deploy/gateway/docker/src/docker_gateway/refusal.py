"""What the gateway says when it does not forward a call."""

from __future__ import annotations


class Refusal(Exception):
    """A call that is not forwarded: why, in words for the caller, and the HTTP status."""

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class EngineAway(Refusal):
    """Docker Engine does not answer; the launcher tries such a call again."""

    def __init__(self) -> None:
        super().__init__("the engine does not answer", 503)

"""dagster-webserver on loopback without a gateway, closed to what web pages could do to it.

Any page in a browser on this machine can send requests here. This middleware refuses those that
a page of another origin can make; docs/web-gateway.md describes the same rules of the gateway.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from control_plane.internals import webserver
from control_plane.planned_events import write_planned_events_at_once
from control_plane.query_limits import limit_queries
from control_plane.run_writes import write_runs_whole
from control_plane.unreadable_runs import read_around_unreadable_runs

_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


def refusal(scope: Scope) -> str | None:
    """The rule that an ASGI scope of a request or a WebSocket breaks; None when it may pass."""
    headers = Headers(scope=scope)
    host = headers.get("host", "").lower()
    name, colon, port = host.rpartition(":")
    if (name if colon and port.isdecimal() else host) not in _LOOPBACK:
        return "host"
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}":
        return "origin"
    reading = scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}
    navigated = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    own = headers.get("sec-fetch-site", "none") in {"same-origin", "none"}
    if not own and not (reading and navigated == ("navigate", "document")):
        return "cross-site"
    # Under WEB_PATH_PREFIX, too.
    asks = scope["path"].rstrip("/").lower().endswith("/graphql")
    if asks and reading and scope["query_string"]:
        return "graphql-get"
    if not reading and scope["type"] == "http":
        return _wrong_type(scope["path"], headers)
    return None


def _wrong_type(path: str, headers: Headers) -> str | None:
    given = headers.get("content-type", "")
    # A report may have no body, and then no type.
    bare = not path.endswith("/graphql") and not given
    return None if bare or given.partition(";")[0].strip() == "application/json" else "content-type"


class LoopbackGuard:
    """ASGI middleware that answers 403 with the name of the broken rule."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        rule = refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if rule is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # Closed before it was accepted, it is answered by 403.
            await send({"type": "websocket.close", "code": 1008, "reason": rule})
        else:
            text = f"refused, rule {rule}: docs/web-gateway.md says what it is for\n"
            await PlainTextResponse(text, status_code=403)(scope, receive, send)


def guard() -> None:
    """Let every webserver of this process have the middleware, or end the process."""
    webserver.prepend_middleware(Middleware(LoopbackGuard))


if __name__ == "__main__":
    guard()
    read_around_unreadable_runs()
    write_runs_whole(webserver.shown_to_the_user)
    write_planned_events_at_once()
    limit_queries()
    webserver.main()  # type: ignore[no-untyped-call]

"""The workspace file's way to webserver and daemon, and the webserver told of it."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from control_plane.errors import StackError
from control_plane.files import replace
from control_plane.graphql import ask
from control_plane.workspace import servers

_RELOAD = """
mutation Reload {
  reloadWorkspace {
    __typename
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""


def newcomers(source: Path, target: Path) -> dict[str, str]:
    """Addresses of locations in ``source`` that ``target`` lacks; none without a ``target``."""
    try:
        known = servers(target) if target.exists() else servers(source)
    except StackError:
        known = {}
    return {name: where for name, where in servers(source).items() if name not in known}


def publish(source: Path, target: Path) -> list[str]:
    """Replace ``target`` in one step by ``source`` if that is valid; the locations in it.

    Raises StackError, and leaves ``target`` alone, when ``source`` is not a workspace of
    gRPC servers.
    """
    names = list(servers(source))
    # The daemon ends when it cannot read its workspace for minutes.
    replace(target, source.read_bytes())
    return names


def reload(url: str, seconds: float) -> bool:
    """Let the webserver at ``url`` reload its workspace; False when there is none.

    Call it after publishing: a webserver that has no address yet starts with the new file. One
    that has an address and does not answer may have read the old one, and is waited for.
    Raises StackError when it does not answer within ``seconds``, or refuses.
    """
    if not _has_address(url):
        return False
    try:
        answer = Retrying(
            retry=retry_if_exception_type(httpx.HTTPError),
            stop=stop_after_delay(seconds),
            wait=wait_fixed(0.5),
        )(ask, url, _RELOAD)["reloadWorkspace"]
    except RetryError as error:
        reason = error.last_attempt.exception()
        raise StackError(f"the webserver at {url} does not answer: {reason}") from None
    if answer["__typename"] != "Workspace":
        raise StackError(f"the webserver does not take the workspace: {answer['message']}")
    return True


def _has_address(url: str) -> bool:
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None)
    except socket.gaierror:
        return False
    return True

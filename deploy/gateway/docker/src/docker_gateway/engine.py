"""Docker Engine, asked by requests that are all made here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, UnixConnector
from yarl import URL

from docker_gateway.refusal import EngineAway

# What a request means depends on the version that it names: an older one would drop what a mount
# is confined to (Subpath). Of Engine 26.
VERSION = "/v1.45"
_CONNECT_S = 5.0
# A stop answers when the container has ended, which may take its whole grace. A stream of events
# that is silent for so long is closed, and its reader connects again.
_SILENCE_S = 180.0
# For the gateway's own questions.
_ANSWER_S = 10.0


@dataclass(frozen=True)
class EngineCall:
    """A request to the engine. The path has its version; None as body sends none."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


class Engine:
    """The engine behind one Unix socket."""

    def __init__(self, socket: str) -> None:
        # A connection per call: one that was kept could be from before the engine's restart.
        self._session = ClientSession(
            connector=UnixConnector(socket, limit=0, force_close=True),
            timeout=ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S),
            auto_decompress=False,
            skip_auto_headers=["Accept", "Accept-Encoding", "Content-Type", "User-Agent"],
        )

    async def close(self) -> None:
        """Give the sockets back."""
        await self._session.close()

    @asynccontextmanager
    async def send(self, call: EngineCall) -> AsyncIterator[ClientResponse]:
        """The engine's answer, its body still to be read; EngineAway when there is none."""
        text = urlencode(call.query, quote_via=quote)
        # Encoded here, so that it is not quoted twice.
        url = URL(f"http://docker{call.path}{'?' if text else ''}{text}", encoded=True)
        content = None if call.body is None else json.dumps(call.body).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            answer = await self._session.request(
                call.method, url, data=content, headers=headers, allow_redirects=False
            )
        except (ClientError, OSError, TimeoutError):
            raise EngineAway from None
        async with answer:
            yield answer

    async def find(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """What the engine says of something; None when it does not exist.

        Raises EngineAway when it says neither.
        """
        try:
            async with (
                asyncio.timeout(_ANSWER_S),
                self.send(EngineCall("GET", VERSION + path, query or {})) as answer,
            ):
                content = await answer.read()
        except (ClientError, OSError, TimeoutError):
            raise EngineAway from None
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise EngineAway
        return json.loads(content)

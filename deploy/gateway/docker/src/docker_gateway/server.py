"""HTTP on one Unix socket per caller, and answers passed on as the engine gives them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from aiohttp import ClientError, ClientResponse, web

from docker_gateway import log, rules
from docker_gateway.asked import read
from docker_gateway.engine import Engine, EngineCall
from docker_gateway.refusal import Refusal
from docker_gateway.stack import Stack

_HEADER_BYTES = 8190
_MAX_HEADERS = 32
# For a request that does not come, or comes slowly.
_IDLE_S = 30.0
# A caller that sends more than is read of it.
_LINGER_S = 2.0
_SHUTDOWN_S = 1.0


class Gateway:
    """Serves callers, each by a socket of its own: who asks hangs on the way it comes."""

    def __init__(
        self, project: str, engine: Engine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._stack = Stack(project, engine, clock)
        self._servers: list[tuple[web.Server, asyncio.Server]] = []

    async def listen(self, caller: str, socket: Path) -> None:
        """Serve one caller; a socket file that an earlier gateway left is replaced."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            return await self._handle(caller, request)

        # Cancelled when the caller is gone: nobody reads the rest of a stream of events.
        server = web.Server(handle, handler_cancellation=True)
        loop = asyncio.get_running_loop()
        listener = await loop.create_unix_server(
            lambda: _Connection(caller, server, loop), path=socket
        )
        # Callers are users of their own; the volume that holds it is theirs alone.
        socket.chmod(0o666)
        self._servers.append((server, listener))

    async def close(self) -> None:
        """End all connections; a call that was sent to the engine is the engine's to finish."""
        for server, listener in self._servers:
            listener.close()
            await server.shutdown(_SHUTDOWN_S)

    async def _handle(self, caller: str, request: web.BaseRequest) -> web.StreamResponse:
        began = asyncio.get_running_loop().time()
        try:
            outcome = await rules.decide(self._stack, caller, await read(request))
            if isinstance(outcome, EngineCall):
                return await self._forward(outcome, request)
            return web.json_response(outcome.content)
        except Refusal as refusal:
            milliseconds = 1000 * (asyncio.get_running_loop().time() - began)
            # The engine knows no such container, which is its answer and no refusal.
            if refusal.status != HTTPStatus.NOT_FOUND:
                log.refused(
                    caller, request.method, request.raw_path, refusal.status, refusal.reason,
                    milliseconds,
                )  # fmt: skip
            return _says(refusal.reason, refusal.status)
        except Exception:
            reason = "the gateway failed, see its log"
            log.failed(caller, reason)
            return _says(reason, 500)

    async def _forward(self, call: EngineCall, request: web.BaseRequest) -> web.StreamResponse:
        async with self._engine.send(call) as answer:
            response = _head(answer)
            await response.prepare(request)
            try:
                async for part in answer.content.iter_any():
                    await response.write(part)
                await response.write_eof()
            except (ClientError, TimeoutError):
                # It has begun to answer: all that can be said now is that this is not the end.
                if request.transport is not None:
                    request.transport.close()
        return response


class _Connection(web.RequestHandler):
    """One connection of a caller; what is not HTTP is refused with the gateway's own message."""

    def __init__(self, caller: str, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=_IDLE_S,
            lingering_time=_LINGER_S,
            tcp_keepalive=False,
            auto_decompress=False,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
        )
        self._caller = caller

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what the parser refused."""
        reason = "this is not a plain HTTP request"
        log.refused(self._caller, "", "", status, reason, 0)
        return _says(reason, status)


def _head(answer: ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    with suppress(KeyError):
        response.headers["Content-Type"] = answer.headers["Content-Type"]
    if answer.content_length is not None:
        response.content_length = answer.content_length
    return response


def _says(reason: str, status: int) -> web.Response:
    response = web.json_response({"message": f"docker gateway: {reason}"}, status=status)
    if status != HTTPStatus.NOT_FOUND:
        # Of a request that was refused there may be a rest; nothing that follows it is read.
        response.force_close()
    return response

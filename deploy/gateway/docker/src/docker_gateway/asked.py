"""A caller's HTTP request, read strictly: what has two spellings or two meanings is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from aiohttp import HttpVersion10, HttpVersion11
from aiohttp.web import BaseRequest

from docker_gateway.refusal import Refusal

# A run's definition has some ten kilobytes.
MAX_BODY = 200_000
_BODY_TIMEOUT_S = 5.0

_PATH = re.compile(r"(/[A-Za-z0-9_.:@-]+)+")
_PARAMETER = re.compile(r"([A-Za-z_]+)=((?:[A-Za-z0-9_.~*+:/@,-]|%[0-9A-Fa-f]{2})*)")
_JSON = re.compile(r"application/json *(; *charset=utf-8)?", re.IGNORECASE)
# What makes of a connection, or of a body, something else than it seems.
_NOT_IN_USE = ("Transfer-Encoding", "Content-Encoding", "Upgrade", "Expect", "Trailer")


@dataclass(frozen=True)
class Asked:
    """What a caller asks for: path without the query, parameters, and the body's bytes."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes


async def read(request: BaseRequest) -> Asked:
    """The request; Refusal with status 400 or 413 when it is not plain."""
    if request.version not in (HttpVersion10, HttpVersion11):
        raise Refusal("requests are HTTP/1.1", 400)
    path, _, query = request.raw_path.partition("?")
    for name in _NOT_IN_USE:
        if name in request.headers:
            raise Refusal(f"the header {name} is not in use here", 400)
    return Asked(request.method, _path(path), _parameters(query), await _body(request))


def _path(text: str) -> str:
    # docker-py writes the @ of an image's digest as %40, and nothing else in this way.
    path = text.replace("%40", "@")
    if not _PATH.fullmatch(path) or any(part in {".", ".."} for part in path.split("/")):
        raise Refusal("the path is written in more than one way", 400)
    return path


def _parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        match = _PARAMETER.fullmatch(part)
        if match is None or match[1] in found:
            raise Refusal("a parameter is there twice, or is written in an uncommon way", 400)
        try:
            found[match[1]] = unquote_plus(match[2], errors="strict")
        except UnicodeDecodeError:
            raise Refusal(f"parameter {match[1]} is not UTF-8", 400) from None
    return found


async def _body(request: BaseRequest) -> bytes:
    length = request.content_length or 0
    types = request.headers.getall("Content-Type", [])
    if len(types) > 1 or (length and not (types and _JSON.fullmatch(types[0]))):
        raise Refusal("bodies are JSON, by one Content-Type", 400)
    if length > MAX_BODY:
        raise Refusal("the body is larger than any that launching runs needs", 413)
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await request.content.read() if length else b""
    except TimeoutError:
        raise Refusal(f"the body did not arrive within {_BODY_TIMEOUT_S:g} s", 408) from None

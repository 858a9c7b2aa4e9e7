"""What an HTTP answer holds, or the reason why it cannot be used."""

import json
from email.message import Message
from typing import Any, Never

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

BEGINNING_BYTES = 200
PASSING_STATUSES = (429, 500, 502, 503, 504)


class Failed(Exception):
    """An attempt failed; the message is the reason. `may_pass`: a later run may succeed."""

    def __init__(self, reason: str, status: int | None = None, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.may_pass = may_pass


class Busy(Failed):
    """Another attempt may succeed at once, or in `retry_after_s` seconds."""

    retry_after_s: float | None = None


def parsed(content: bytes, content_type: str | None) -> Any:
    """The JSON that an answer holds, whatever type it says it has. Raises Failed.

    As JSON has it, the encoding is UTF-8, -16 or -32; only where it is none of these, the
    charset of the content type is believed.
    """
    try:
        return _decoded(content, content_type)
    except (ValueError, LookupError, RecursionError) as error:
        reason = str(error)
    kind = content_type or "of no content type"
    raise Failed(
        f"not JSON: {reason}; the answer ({kind}, {len(content)} bytes) begins "
        f"{beginning(content)}",
        status=200,
    )


def refusal(response: requests.Response) -> Failed:
    """The error for a status other than 200, with the answer's beginning."""
    status = response.status_code
    try:
        content = response.raw.read1(BEGINNING_BYTES, decode_content=True)
    except HTTPError:
        content = b""
    reason = f"status {status} {response.reason}"
    if content:
        reason += f"; the answer begins {beginning(content)}"
    if status not in PASSING_STATUSES:
        return Failed(reason, status)
    busy = Busy(reason, status, may_pass=True)
    try:
        # Seconds or a date. The limit is the client's to check, so none is set here.
        busy.retry_after_s = Retry(retry_after_max=10**9).get_retry_after(response.raw)
    except InvalidHeader:
        busy.retry_after_s = None
    return busy


def beginning(content: bytes | bytearray) -> str:
    """The first characters, as a literal."""
    return repr(content[:BEGINNING_BYTES].decode(errors="replace"))


def _decoded(content: bytes, content_type: str | None) -> Any:
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        header = Message()
        header["Content-Type"] = content_type or ""
        charset = header.get_content_charset()
        if charset is None:
            raise
        return json.loads(content.decode(charset), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a JSON value")

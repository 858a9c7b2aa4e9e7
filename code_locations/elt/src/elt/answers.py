"""What an HTTP answer holds, or the reason why it cannot be used."""

import json
import re
from email.message import Message
from typing import Any, Never

import requests
from requests.utils import parse_header_links
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from elt.polite_retry import GaveUp

BEGINNING_BYTES = 200
_NEXT = re.compile(r"""rel\s*=\s*["']?[^"';,]*\bnext\b""", re.IGNORECASE)


def parsed(content: bytes, content_type: str | None) -> Any:
    """The JSON that an answer holds, whatever type it says it has. Raises GaveUp.

    As JSON has it, the encoding is UTF-8, -16 or -32; only where it is none of these, the
    charset of the content type is believed.
    """
    try:
        return _decoded(content, content_type)
    except json.JSONDecodeError as error:
        breaks_off = error.msg.startswith("Unterminated") or error.pos >= len(error.doc.rstrip())
        kind = "JSON that breaks off" if content.strip() and breaks_off else "not JSON"
        reason = f"{kind}: {error}"
    except (UnicodeError, LookupError) as error:
        reason = f"not JSON: its encoding is not what it should be: {error}"
    except (ValueError, RecursionError) as error:
        reason = f"not JSON as we can take it: {error}"
    kind = content_type or "of no content type"
    raise GaveUp(
        f"{reason}; the answer ({kind}, {len(content)} bytes) begins {beginning(content)}",
        status=200,
    )


def next_link(header: str | None) -> str | None:
    """The target of the link with `rel="next"` in a Link header (RFC 8288), if there is one.

    Raises GaveUp for one that is there but cannot be read: the pages after it would be lost.
    """
    for link in parse_header_links(header or ""):
        if "next" in link.get("rel", "").lower().split():
            return link["url"]
    if header and _NEXT.search(header):
        raise GaveUp(f"the Link header names a next page, but cannot be read: {header[:200]!r}")
    return None


def refusal(response: requests.Response) -> str:
    """What a status other than 200 says: status, reason, attempts, the answer's beginning."""
    retries = response.raw.retries
    attempts = 1 + (len(retries.history) if isinstance(retries, Retry) else 0)
    try:
        content = response.raw.read1(BEGINNING_BYTES, decode_content=True)
    except HTTPError:
        content = b""
    return (
        f"status {response.status_code} {response.reason}"
        + (f" after {attempts} attempts" if attempts > 1 else "")
        + (f"; the answer begins {beginning(content)}" if content else "")
    )


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
    raise ValueError(f"{name} is no JSON value")

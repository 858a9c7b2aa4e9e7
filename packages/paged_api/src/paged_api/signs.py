"""What an answer says about records that are not on its page, by the names that APIs use."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paged_api.redaction import redact

# Names are compared in lower case without punctuation: has_more, hasMore and Has-More are one.
_THINGS = "users?|items?|results?|records?|elements?|rows?|hits?|entries|objects|docs|documents"
_MORE = re.compile(
    rf"(odata)?(hasmore|hasnext(page)?|ismore|more(pages|available|tocome|{_THINGS})?|"
    r"(is)?truncated|next(page|cursor|token|url|uri|link|links|href|offset|key|marker|start|skip)*|"
    r"lastevaluatedkey|continuation(token)?|continue(token)?|cursor|scrollid|pagetoken)"
)
_IS_LAST = re.compile(r"(is)?last(page)?|done|complete|exhausted")
_TOTAL = re.compile(
    rf"(odata)?(total(count|size|found|{_THINGS})?|(number|num)of({_THINGS})|"
    rf"({_THINGS})?(count|total)|numfound|nbhits|totalnumber(of)?({_THINGS}))"
)
_PAGES = re.compile(r"(total|num|numberof|max|last)pages?|pages?(count|total)|pages|nbpages")
_PAGE_SIZE = re.compile(r"limit|perpage|pagesize|itemsperpage|maxresults|pagelimit")
_NO = {"", "0", "false", "no", "none", "null"}
MAX_DEPTH = 5


@dataclass(frozen=True)
class Sign:
    """A value of an answer, and what its name says that it is."""

    kind: str  # more, is_last, total, pages, page_size
    path: str
    value: Any

    @property
    def shown(self) -> str:
        """Where it is and what, without tokens of a URL."""
        text = str(self.value)
        text = redact(text) if text.startswith(("/", "http")) else text
        return f"{self.path!r} is {text[:80]!r}"


def error_in(body: Any) -> str | None:
    """The part of the answer that says it is an error, though its status is 200."""
    if not isinstance(body, Mapping):
        return None
    for name in ("error", "errors"):
        if says_yes(body.get(name)):
            return f"{name!r} is {str(body[name])[:80]!r}"
    for name in ("success", "ok"):
        if name in body and body[name] is not None and not says_yes(body[name]):
            return f"{name!r} is {str(body[name])!r}"
    if str(body.get("status", "")).lower() in ("error", "fail", "failed", "failure"):
        return f"'status' is {body['status']!r}"
    return None


def says_yes(value: Any) -> bool:
    """False for what APIs write where there is nothing: null, "", 0, false, "false", {}."""
    if isinstance(value, Mapping):
        return any(says_yes(inner) for inner in value.values())
    return bool(value) and str(value).strip().lower() not in _NO


def signs_of_more(
    body: Any,
    records: list[Any],
    headers: Mapping[str, str],
    records_read: int,
    pages: int,
    ignored: frozenset[str] = frozenset(),
) -> list[Sign]:
    """What says that there is more than the records and pages that were read.

    `records` are this page's, `ignored` the paths that mean something else.
    """
    signs = [
        sign
        for sign in (*_in_headers(headers), *_in_body(body, records, ""))
        if sign.path.lower() not in ignored
    ]
    totals = [sign for sign in signs if sign.kind == "total"]
    is_end_said = bool(totals) or any(sign.kind in ("more", "is_last", "pages") for sign in signs)
    found = []
    for sign in signs:
        number = _number(sign.value)
        if (
            (sign.kind == "more" and says_yes(sign.value))
            or (sign.kind == "is_last" and str(sign.value).lower() == "false")
            # `last_page` is a flag in one API and a number in another.
            or (sign.kind == "is_last" and number is not None and number > pages)
            or (sign.kind == "total" and number is not None and number > records_read)
            or (sign.kind == "pages" and number is not None and number > pages)
            # A page that is as full as may be, and nothing says that it is the last.
            or (sign.kind == "page_size" and number == len(records) and not is_end_said)
        ):
            found.append(sign)
    return found


def _in_headers(headers: Mapping[str, str]) -> Iterator[Sign]:
    for name, value in headers.items():
        short = re.sub(r"^(x-)?(wp-|pagination-)?", "", name.lower())
        if name.lower() == "content-range":
            yield Sign("total", name, value.rpartition("/")[2])
        elif short == "pagination" or name.lower() == "x-pagination":
            yield from _in_body(_json(value), [], f"{name}.")
        elif kind := _kind(short):
            yield Sign(kind, name, value)


def _in_body(body: Any, records: list[Any], prefix: str, depth: int = 0) -> Iterator[Sign]:
    if isinstance(body, list):
        for one in body:  # links as FHIR has them: [{"relation": "next", "url": "..."}]
            if isinstance(one, Mapping) and "next" in (one.get("rel"), one.get("relation")):
                yield Sign("more", f"{prefix}next", one.get("href") or one.get("url"))
    elif isinstance(body, Mapping) and depth <= MAX_DEPTH:
        for name, value in body.items():
            if value is not records:
                yield from _in_field(f"{prefix}{name}", _kind(name), value, records, depth)


def _in_field(
    path: str, kind: str | None, value: Any, records: list[Any], depth: int
) -> Iterator[Sign]:
    inner = {"more": "href", "total": "value"}.get(kind or "")  # HAL, Elasticsearch
    if isinstance(value, Mapping) and inner in value:
        yield Sign(kind or "", f"{path}.{inner}", value[inner])
    elif kind == "more" and not isinstance(value, list):
        yield Sign(kind, path, value)
    elif isinstance(value, Mapping | list):
        yield from _in_body(value, records, f"{path}.", depth + 1)
    elif kind:
        yield Sign(kind, path, value)


def _kind(name: str) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    for kind, pattern in (
        ("more", _MORE),
        ("is_last", _IS_LAST),
        ("total", _TOTAL),
        ("pages", _PAGES),
        ("page_size", _PAGE_SIZE),
    ):
        if pattern.fullmatch(plain):
            return kind
    return None


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None

"""Where an API keeps its records and its next page, as it is declared."""

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from requests.utils import parse_header_links

from paged_api.client import Answer
from paged_api.signs import Sign, says_yes, signs_of_more

Kind = Literal["none", "link-header", "next-link", "page", "offset", "cursor"]
# Names of the list in an answer that is an object, if no path is declared.
LIST_NAMES = ("data", "items", "results")
_NEXT = re.compile(r"""rel\s*=\s*["']?[^"';,]*\bnext\b""", re.IGNORECASE)


@dataclass(frozen=True)
class Pagination:
    """How an API pages. Paths lead through objects and lists: `meta.next`, `data.-1.id`.

    "" is the default of the kind; a `page_size` of 0 is not sent. `ignored_signs` are paths in
    lower case. With `settings` as a prefix, messages name settings (`USERS_API_NEXT_PATH` for
    `next_path`) in the place of these fields.
    """

    kind: Kind = "none"
    records_path: str = ""
    next_path: str = ""
    page_param: str = ""
    first_page: int = 1
    page_size_param: str = "limit"
    page_size: int = 0
    total_path: str = ""
    ignored_signs: frozenset[str] = frozenset()
    settings: str = ""

    def named(self, field: str) -> str:
        """The field's name for messages."""
        if not self.settings:
            return field
        return self.settings + {"kind": "PAGINATION"}.get(field, field.upper())

    def first_url(self, url: str) -> str:
        """Address of the first page."""
        parameters: dict[str, Any] = {}
        if self.kind == "page":
            parameters[self.page_param or "page"] = self.first_page
        elif self.kind == "offset":
            parameters[self.page_param or "offset"] = 0
        if self.page_size:
            parameters[self.page_size_param] = self.page_size
        return _with_query(url, parameters)

    def next_link(self, answer: Answer, is_empty: bool, records_read: int) -> str | None:
        """The next page's address, which may be relative; None if `answer` is the last page.

        `records_read` counts those of all pages. Raises ApiError where it cannot be told.
        """
        if self.kind == "link-header":
            return link_to_next(answer)
        if self.kind == "next-link":
            return self._link(answer)
        if self.kind == "cursor":
            return self._after_cursor(answer)
        if self.kind == "none" or is_empty or self._is_total_reached(answer, records_read):
            return None
        # By what came, not by what was asked for: many servers give fewer than that.
        number = records_read if self.kind == "offset" else self.first_page + answer.page
        return _with_query(answer.url, {self.page_param or self.kind: number})

    def records(self, answer: Answer, list_name: str) -> list[dict[str, Any]]:
        """The page's records; `list_name` is what the API may call the list. Raises ApiError."""
        if self.records_path:
            found = _value_at(answer.body, self.records_path)
            if not isinstance(found, list):
                raise self._wrong(answer, "records_path", self.records_path, "a list", found)
        else:
            found = self._list_in(answer, (*LIST_NAMES, list_name))
        for number, record in enumerate(found, start=1):
            if not isinstance(record, dict):
                raise answer.error(
                    f"record {number}: not an object but {_shown(record)}", record=number
                )
        return found

    def refuse_more(self, answer: Answer, on_page: list[dict[str, Any]], records: int) -> None:
        """Raise ApiError if the last page says that there are more than the `records` read."""
        link = link_to_next(answer)
        found = [Sign("more", "Link; rel=next", link)] if link else []
        found += signs_of_more(
            answer.body, on_page, answer.headers, records, answer.page, self.ignored_signs
        )
        for sign in found[:1]:
            raise answer.error(
                f"{sign.shown}, so there are more records than the {records} that were read with "
                f"{self.named('kind')}={self.kind}. Fix: {self._advice(sign)}; if it means "
                f"something else, add {sign.path} to {self.named('ignored_signs')}"
            )

    def _link(self, answer: Answer) -> str | None:
        path = self.next_path or "next"
        link = _value_at(answer.body, path)
        if not says_yes(link):
            return None
        if not isinstance(link, str):
            raise self._wrong(answer, "next_path", path, "a URL", link)
        return link

    def _after_cursor(self, answer: Answer) -> str | None:
        path = self.next_path or "next_cursor"
        cursor = _value_at(answer.body, path)
        # A cursor that is the last record's id has no end of its own but the empty page.
        if not says_yes(cursor):
            return None
        if isinstance(cursor, dict | list | bool):
            raise self._wrong(answer, "next_path", path, "a cursor", cursor)
        return _with_query(answer.url, {self.page_param or "cursor": cursor})

    def _is_total_reached(self, answer: Answer, records_read: int) -> bool:
        if not self.total_path:
            return False
        total = answer.headers.get(self.total_path)
        if total is None:
            total = _value_at(answer.body, self.total_path)
        try:
            return records_read >= int(total)
        except (TypeError, ValueError):
            raise self._wrong(answer, "total_path", self.total_path, "a number", total) from None

    def _list_in(self, answer: Answer, names: tuple[str, ...]) -> list[Any]:
        body = answer.body
        if isinstance(body, list):
            return body
        kind = "object" if isinstance(body, dict) else type(body).__name__
        fields = body if isinstance(body, dict) else {}
        lists = [name for name in names if isinstance(fields.get(name), list)]
        if len(lists) == 1:
            return list(fields[lists[0]])
        fix = f"Fix: set {self.named('records_path')}"
        if lists:
            said = f"{' and '.join(lists)} are lists; which one holds the records?"
            raise answer.error(f"{said} {fix}")
        expected = f"not a list, or an object with a list as {', '.join(names)}"
        raise answer.error(f"a JSON {kind}, {expected}: {_shown(body)}. {fix}")

    def _wrong(self, answer: Answer, field: str, path: str, kind: str, found: Any) -> Exception:
        return answer.error(f"{path!r} ({self.named(field)}) is not {kind} but {_shown(found)}")

    def _advice(self, sign: Sign) -> str:
        kind, path = self.named("kind"), f"{self.named('next_path')}={sign.path}"
        if sign.path.startswith("Link;"):
            return f"set {kind}=link-header"
        text = str(sign.value)
        if sign.kind == "more" and text.startswith(("/", "?", "http")):
            return f"set {kind}=next-link and {path}"
        if sign.kind == "more" and text.lower() != "true":
            return f"set {kind}=cursor and {path}, or page"
        return f"set {kind} to how this API pages (page, offset, cursor, next-link)"


def link_to_next(answer: Answer) -> str | None:
    """The target of the link with `rel="next"` in the Link header (RFC 8288), if there is one.

    Raises ApiError for one that is there but cannot be read: the pages after it would be lost.
    """
    header = answer.headers.get("Link", "")
    for link in parse_header_links(header):
        if "next" in link.get("rel", "").lower().split():
            return link["url"]
    if _NEXT.search(header):
        raise answer.error(
            f"the Link header names a next page, but cannot be read: {header[:200]!r}"
        )
    return None


def _value_at(body: Any, path: str) -> Any:
    """The value at a path, None if there is none. Names may hold dots."""
    if not path:
        return body
    if isinstance(body, dict):
        if path in body:
            return body[path]
        for cut in (index for index, letter in enumerate(path) if letter == "."):
            if path[:cut] in body:
                return _value_at(body[path[:cut]], path[cut + 1 :])
    if isinstance(body, list):
        index, _, rest = path.partition(".")
        try:
            return _value_at(body[int(index)], rest)
        except (ValueError, IndexError):
            return None
    return None


def _with_query(url: str, parameters: dict[str, Any]) -> str:
    if not parameters:
        return url
    parts = urlsplit(url)
    kept = parse_qsl(parts.query, keep_blank_values=True)
    query = [pair for pair in kept if pair[0] not in parameters]
    return urlunsplit(parts._replace(query=urlencode([*query, *parameters.items()])))


def _shown(value: Any, limit: int = 80) -> str:
    text = str(value)
    return repr(text if len(text) <= limit else f"{text[:limit]}…")

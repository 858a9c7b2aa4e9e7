"""Where an API keeps its records and its next page, as the settings declare it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from elt.answers import next_link
from elt.api_client import Answer, ApiClient, Place
from elt.polite_retry import GaveUp
from elt.signs import Sign, error_in, says_yes, signs_of_more

# Names of the list in an answer that is an object, if no path is declared.
LIST_NAMES = ("data", "items", "results", "users")
Kind = Literal["none", "link-header", "next-link", "page", "offset", "cursor"]


@dataclass(frozen=True)
class Pagination:
    """How the API pages. Paths lead through objects and lists: `meta.next`, `data.-1.id`.

    "" is the default of the kind; a `page_size` of 0 is not sent.
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


@dataclass(frozen=True)
class Page:
    """Records as the API gives them."""

    place: Place
    answer: Answer
    records: list[dict[str, Any]]
    is_last: bool


def pages(
    client: ApiClient, first_url: str, pagination: Pagination, max_pages: int
) -> Iterator[Page]:
    """Every page, from the first on.

    Raises UsersApiError as the client does, and for an answer that is no page of users, a page
    that leads back, and more pages than `max_pages`.
    """
    url: str | None = _first(first_url, pagination)
    asked: dict[str, int] = {}
    records_read = 0
    while url is not None:
        answer = client.get(url, len(asked) + 1)
        asked[url] = answer.place.page
        if error := error_in(answer.body):
            raise answer.place.error(f"the answer is an error with status 200: {error}")
        records = _records(answer, pagination.records_path)
        records_read += len(records)
        url = _next(client, answer, pagination, records, records_read)
        if url in asked:
            raise answer.place.error(f"the next page is said to be page {asked[url]} again")
        if url is not None and len(asked) >= max_pages:
            raise answer.place.error(f"there are more pages than the limit of {max_pages}")
        yield Page(answer.place, answer, records, is_last=url is None)


def refuse_more(page: Page, pagination: Pagination, users: int) -> None:
    """Raise UsersApiError if the last page says that there are more users than were read."""
    answer = page.answer
    link = _link(answer)
    found = [] if link is None else [Sign("more", "Link; rel=next", link)]
    found += signs_of_more(
        answer.body,
        page.records,
        answer.headers,
        users,
        page.place.page,
        pagination.ignored_signs,
    )
    if found:
        sign = found[0]
        raise page.place.error(
            f"{sign.shown}, so there are more users than the {users} that were read with "
            f"USERS_API_PAGINATION={pagination.kind}. Fix: {_advice(sign)}; if it means something "
            f"else, add {sign.path} to USERS_API_IGNORED_SIGNS"
        )


def value_at(body: Any, path: str) -> Any:
    """The value at a path such as `meta.next`, None if there is none. Names may hold dots."""
    if not path:
        return body
    if isinstance(body, dict):
        if path in body:
            return body[path]
        cuts = [index for index, letter in enumerate(path) if letter == "."]
        for cut in cuts:
            if path[:cut] in body:
                return value_at(body[path[:cut]], path[cut + 1 :])
    if isinstance(body, list):
        index, _, rest = path.partition(".")
        try:
            return value_at(body[int(index)], rest)
        except (ValueError, IndexError):
            return None
    return None


def _first(url: str, pagination: Pagination) -> str:
    parameters: dict[str, Any] = {}
    if pagination.kind == "page":
        parameters[pagination.page_param or "page"] = pagination.first_page
    elif pagination.kind == "offset":
        parameters[pagination.page_param or "offset"] = 0
    if pagination.page_size:
        parameters[pagination.page_size_param] = pagination.page_size
    return _with_query(url, parameters)


def _next(
    client: ApiClient,
    answer: Answer,
    pagination: Pagination,
    records: list[dict[str, Any]],
    records_read: int,
) -> str | None:
    kind, place = pagination.kind, answer.place
    if kind == "link-header":
        link = _link(answer)
        return client.follow(place, link) if link else None
    if kind == "next-link":
        path = pagination.next_path or "next"
        link = value_at(answer.body, path)
        if not says_yes(link):
            return None
        if not isinstance(link, str):
            raise place.error(f"{path!r} (USERS_API_NEXT_PATH) is not a URL but {_shown(link)}")
        return client.follow(place, link)
    if kind == "cursor":
        path = pagination.next_path or "next_cursor"
        cursor = value_at(answer.body, path)
        # A cursor that is the last user's id has no end of its own but the empty page.
        if not says_yes(cursor):
            return None
        if isinstance(cursor, dict | list | bool):
            raise place.error(f"{path!r} (USERS_API_NEXT_PATH) is no cursor but {_shown(cursor)}")
        return _with_query(place.url, {pagination.page_param or "cursor": cursor})
    if kind == "none" or not records or _is_total_reached(answer, pagination, records_read):
        return None
    # By what came, not by what was asked for: many servers give fewer than that.
    number = records_read if kind == "offset" else pagination.first_page + place.page
    return _with_query(place.url, {pagination.page_param or kind: number})


def _link(answer: Answer) -> str | None:
    """The next page's address in the Link header."""
    try:
        return next_link(answer.headers.get("Link"))
    except GaveUp as error:
        raise answer.place.error(str(error)) from None


def _is_total_reached(answer: Answer, pagination: Pagination, records_read: int) -> bool:
    if not pagination.total_path:
        return False
    total = value_at(answer.body, pagination.total_path)
    if total is None:
        total = answer.headers.get(pagination.total_path)
    try:
        return records_read >= int(total)
    except (TypeError, ValueError):
        raise answer.place.error(
            f"{pagination.total_path!r} (USERS_API_TOTAL_PATH) is not a number but {_shown(total)}"
        ) from None


def _with_query(url: str, parameters: dict[str, Any]) -> str:
    if not parameters:
        return url
    parts = urlsplit(url)
    kept = parse_qsl(parts.query, keep_blank_values=True)
    query = [pair for pair in kept if pair[0] not in parameters]
    return urlunsplit(parts._replace(query=urlencode([*query, *parameters.items()])))


def _advice(sign: Sign) -> str:
    if sign.path.startswith("Link;"):
        return "set USERS_API_PAGINATION=link-header"
    text = str(sign.value)
    if sign.kind == "more" and text.startswith(("/", "?", "http")):
        return f"set USERS_API_PAGINATION=next-link and USERS_API_NEXT_PATH={sign.path}"
    if sign.kind == "more" and text.lower() != "true":
        return f"set USERS_API_PAGINATION=cursor and USERS_API_NEXT_PATH={sign.path}, or page"
    return "set USERS_API_PAGINATION to how this API pages (page, offset, cursor, next-link)"


def _records(answer: Answer, path: str) -> list[dict[str, Any]]:
    records = _list_at(answer, path) if path else _list_in(answer)
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise answer.place.error(
                f"record {number}: not an object but {_shown(record)}", record=number
            )
    return records


def _list_at(answer: Answer, path: str) -> list[Any]:
    found = value_at(answer.body, path)
    if not isinstance(found, list):
        raise answer.place.error(
            f"{path!r} (USERS_API_RECORDS_PATH) is not a list but {_shown(found)}"
        )
    return found


def _list_in(answer: Answer) -> list[Any]:
    body = answer.body
    if isinstance(body, list):
        return body
    expected = f"not a list, or an object with a list as {', '.join(LIST_NAMES)}"
    if not isinstance(body, dict):
        raise answer.place.error(f"a JSON {type(body).__name__}, {expected}: {_shown(body)}")
    lists = [name for name in LIST_NAMES if isinstance(body.get(name), list)]
    if not lists:
        raise answer.place.error(
            f"a JSON object, {expected}: {_shown(body)}. Fix: set USERS_API_RECORDS_PATH"
        )
    if len(lists) > 1:
        raise answer.place.error(
            f"{' and '.join(lists)} are lists; which one holds the users? "
            "Fix: set USERS_API_RECORDS_PATH"
        )
    found: list[Any] = body[lists[0]]
    return found


def _shown(value: Any, limit: int = 80) -> str:
    text = str(value)
    return repr(text if len(text) <= limit else f"{text[:limit]}…")

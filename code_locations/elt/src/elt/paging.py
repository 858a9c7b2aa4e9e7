"""Where a page of an API keeps its records, and where the next page is."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elt.api_client import Answer, ApiClient, Place

# Names of the list in an answer that is an object.
LIST_NAMES = ("data", "items", "results", "users")
# has_more, hasNextPage, next_cursor, nextPageToken, @odata.nextLink
_SAYS_MORE = re.compile(
    r"(.*\.)?(has_?(more|next).*|next(_?(page|cursor|token|url|link|href|offset).*)?)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Page:
    """Records as the API gives them."""

    place: Place
    records: list[dict[str, Any]]
    is_last: bool


def pages(client: ApiClient, first_url: str, max_pages: int) -> Iterator[Page]:
    """Every page, from the first on: the next is where the Link header or the body's `next` says.

    Raises UsersApiError as the client does, and for an answer that is neither a list of objects
    nor an object with such a list, a page that leads back, and more pages than `max_pages`.
    """
    url: str | None = first_url
    asked: dict[str, int] = {}
    while url is not None:
        answer = client.get(url, len(asked) + 1)
        asked[url] = answer.place.page
        link = answer.next_link or _next_in(answer)
        url = client.follow(answer.place, link) if link else None
        if url in asked:
            raise answer.place.error(f"the next page is said to be page {asked[url]} again")
        if url is not None and len(asked) >= max_pages:
            raise answer.place.error(f"there are more pages than the limit of {max_pages}")
        yield Page(answer.place, _records(answer), is_last=url is None)


def _records(answer: Answer) -> list[dict[str, Any]]:
    records = _list_in(answer)
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise answer.place.error(
                f"record {number}: not an object but {_shown(record)}", record=number
            )
    return records


def _list_in(answer: Answer) -> list[Any]:
    body = answer.body
    if isinstance(body, list):
        return body
    expected = f"not a list, or an object with a list as {', '.join(LIST_NAMES)}"
    if not isinstance(body, dict):
        raise answer.place.error(f"a JSON {type(body).__name__}, {expected}: {_shown(body)}")
    lists = [name for name in LIST_NAMES if isinstance(body.get(name), list)]
    if not lists:
        raise answer.place.error(f"a JSON object, {expected}: {_shown(body)}")
    if len(lists) > 1:
        raise answer.place.error(f"{' and '.join(lists)} are lists; which one holds the users?")
    found: list[Any] = body[lists[0]]
    return found


def _next_in(answer: Answer) -> str | None:
    body = answer.body
    if not isinstance(body, Mapping):
        return None
    link = body.get("next")
    if link is not None and not isinstance(link, str):
        raise answer.place.error(f"'next' is not a URL but {_shown(link)}")
    if link:
        return link
    _refuse_other_paging(answer)
    return None


def _refuse_other_paging(answer: Answer) -> None:
    """Better no users than the first page taken for all of them."""
    body = answer.body
    inner = [value for value in body.values() if isinstance(value, Mapping)]
    for fields in (body, *inner):
        for name, value in fields.items():
            if value and _SAYS_MORE.match(name):
                raise answer.place.error(
                    f"{name!r} is {_shown(value)}, so there is more, but the next page's address "
                    "is neither in a Link header nor in 'next'"
                )


def _shown(value: Any, limit: int = 80) -> str:
    text = str(value)
    return repr(text if len(text) <= limit else f"{text[:limit]}…")

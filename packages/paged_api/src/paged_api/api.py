"""Reads all records of an API, page by page."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from paged_api.client import Answer, Client, Limits, without_userinfo
from paged_api.errors import ApiError
from paged_api.pagination import Pagination
from paged_api.signs import error_in


@dataclass
class Records:
    """All records, one object each as the API has them, and what it took to get them.

    `moved` counts the records that came again on a later page, as happens when the list changes
    while it is read; the last one counts.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    pages: int = 0
    moved: int = 0
    bytes_read: int = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


class PagedApi:
    """An API at `base_url`, and how it pages.

    `https://user:password@host` sends HTTP Basic authentication, and a query (`?token=...`) stays
    on the first page's address. No message holds these.
    """

    def __init__(
        self, base_url: str, pagination: Pagination | None = None, limits: Limits | None = None
    ) -> None:
        self.base_url = base_url.strip()
        self.pagination = pagination or Pagination()
        self.limits = limits or Limits()

    def read(self, path: str, key: str = "id") -> Records:
        """All records of `base_url`/`path`; `key` is the field that identifies one.

        Raises ApiError, which names the page, the last answer's status and what the answer begins
        with, when a page cannot be had within the limits, is not a page of records, leads back, or
        when the last one says that there is more; never a part of the records.
        """
        url = self._url(path)
        found = Records()
        seen: dict[str, tuple[int, int]] = {}
        with Client(self.base_url, self.limits) as client:
            for answer, records, is_last in self._pages(client, url):
                moved = _add(found.records, answer.page, records, key, seen)
                # The last page may hold only what moved there; one in the middle leads nowhere.
                if moved and moved == len(records) and not is_last:
                    raise answer.error("all its records were on earlier pages; it leads nowhere")
                found.pages, found.moved = answer.page, found.moved + moved
                if is_last:
                    self.pagination.refuse_more(answer, records, len(found))
            found.bytes_read = client.bytes_read
        return found

    def _pages(
        self, client: Client, first_url: str
    ) -> Iterator[tuple[Answer, list[dict[str, Any]], bool]]:
        """Every page with its records, and whether it is the last one."""
        url: str | None = self.pagination.first_url(first_url)
        asked: dict[str, int] = {}
        records_read = 0
        while url is not None:
            answer = client.get(url, len(asked) + 1)
            asked[url] = answer.page
            if error := error_in(answer.body):
                raise answer.error(f"the answer is an error with status 200: {error}")
            records = self.pagination.records(answer, urlsplit(first_url).path.rpartition("/")[2])
            records_read += len(records)
            link = self.pagination.next_link(answer, not records, records_read)
            url = client.follow(answer, link) if link else None
            if url in asked:
                raise answer.error(f"the next page is said to be page {asked[url]} again")
            if url is not None and len(asked) >= self.limits.max_pages:
                raise answer.error(f"there are more pages than the limit of {len(asked)}")
            yield answer, records, url is None

    def _url(self, path: str) -> str:
        """Address of the first page, without user and password."""
        try:
            parts = urlsplit(self.base_url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            # The value is not shown: it may hold a password.
            name = f"{self.pagination.settings}URL" if self.pagination.settings else "base_url"
            raise ApiError(f"{name} is not an http or https URL such as https://api.example.com/v1")
        whole = f"{parts.path.rstrip('/')}/{path}"
        return without_userinfo(urlunsplit(parts._replace(path=whole, fragment="")))


def _add(
    found: list[dict[str, Any]],
    page: int,
    records: list[dict[str, Any]],
    key: str,
    seen: dict[str, tuple[int, int]],
) -> int:
    """Take a page's records; how many of them were on an earlier page, and replace that one.

    `seen` maps a key to the page it was last on and its place in the list. A record that is twice
    on one page has not moved, and is left for others to refuse.
    """
    moved = 0
    for record in records:
        identity = record.get(key)
        # 1 and 1.0 are one number in JSON.
        if isinstance(identity, float) and identity.is_integer():
            identity = int(identity)
        last_page, position = seen.get(str(identity), (page, 0))
        if last_page != page:
            found[position] = record
            moved += 1
        else:
            position = len(found)
            found.append(record)
        if identity is not None:
            seen[str(identity)] = (page, position)
    return moved

"""Reads users from the users API, a REST API after the manner of jsonplaceholder.typicode.com."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from elt.api_client import ApiClient, Limits, without_userinfo
from elt.errors import UsersApiError
from elt.paging import Page, Pagination, pages, refuse_more

MAX_PAGES = 1000


@dataclass
class FetchedUsers:
    """All users, one object each as the API has them, and what it took to get them.

    `moved` counts the users that came again on a later page, as happens when the list changes
    while it is read; the last one counts.
    """

    users: list[dict[str, Any]] = field(default_factory=list)
    pages: int = 0
    moved: int = 0
    bytes_read: int = 0


def fetch_users(
    base_url: str,
    limits: Limits | None = None,
    max_pages: int = MAX_PAGES,
    pagination: Pagination | None = None,
) -> FetchedUsers:
    """All users of all pages of `base_url`/users.

    Raises UsersApiError, which names the page, the last answer's status and what the answer
    begins with, when a page cannot be had within the limits or is not a page of users; never a
    part of the users. No message holds credentials.
    """
    url = users_url(base_url)
    pagination = pagination or Pagination()
    fetched = FetchedUsers()
    seen: dict[str, tuple[int, int]] = {}
    with ApiClient(base_url, limits or Limits()) as client:
        for page in pages(client, url, pagination, max_pages):
            _add(fetched, page, seen)
            if page.is_last:
                refuse_more(page, pagination, len(fetched.users))
        fetched.bytes_read = client.bytes_read
    return fetched


def users_url(base_url: str) -> str:
    """Address of the first page, without user and password.

    Raises UsersApiError for a base URL that is none.
    """
    try:
        parts = urlsplit(base_url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # The value is not shown: it may hold a password.
        raise UsersApiError(
            "USERS_API_URL is not an http or https URL such as https://api.example.com/v1"
        )
    path = f"{parts.path.rstrip('/')}/users"
    return without_userinfo(urlunsplit(parts._replace(path=path, fragment="")))


def _add(fetched: FetchedUsers, page: Page, seen: dict[str, tuple[int, int]]) -> None:
    """Take a page's users; `seen` maps an id to the page it was last on and its place in the list.

    A user who is twice on one page is not one who moved, and is left for the load to refuse.
    """
    number = page.place.page
    moved = 0
    for user in page.records:
        identity = user.get("id")
        # 1 and 1.0 are one number in JSON.
        if isinstance(identity, float) and identity.is_integer():
            identity = int(identity)
        key = str(identity)
        last_page, position = seen.get(key, (number, 0))
        if last_page != number:
            fetched.users[position] = user
            moved += 1
        else:
            position = len(fetched.users)
            fetched.users.append(user)
        if identity is not None:
            seen[key] = (number, position)
    # The last page may hold only users who moved there; one in the middle leads nowhere.
    if moved and moved == len(page.records) and not page.is_last:
        raise page.place.error("everybody on this page was on an earlier one; it leads nowhere")
    fetched.pages, fetched.moved = number, fetched.moved + moved

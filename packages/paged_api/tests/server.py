"""What the tests share: an API of users, pages, and a clock that only waits move."""

import email.utils
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from paged_api import Limits, PagedApi, Pagination, Records

ADA: dict[str, Any] = {"id": 1, "name": "Ada"}
BOB: dict[str, Any] = {"id": 2, "name": "Bob"}
EVE: dict[str, Any] = {"id": 3, "name": "Eve"}
LINKED = Pagination("link-header")
NEXT = Pagination("next-link")
PATIENT = Limits(timeout_s=5)


def read(url: str, limits: Limits = PATIENT, pagination: Pagination | None = None) -> Records:
    """What the users API at `url` gives."""
    return PagedApi(url, pagination or Pagination(), limits).read("users")


def fetch(
    server: HTTPServer,
    limits: Limits = PATIENT,
    path: str = "",
    pagination: Pagination | None = None,
) -> Records:
    """What the server's users API gives."""
    return read(server.url_for(path), limits, pagination)


def linked(server: HTTPServer, url: str | None, users: list[Any], page: str = "") -> None:
    """A page as a plain list, with a Link header to `url` if there is one."""
    headers = {} if url is None else {"Link": f'<{url}>; rel="next"'}
    server.expect_request("/users", query_string=page).respond_with_json(users, headers=headers)


class Clock:
    """Stands in for the `time` that urllib3 reads and tenacity sleeps by."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.sleeps: list[float] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        if seconds:
            self.sleeps.append(seconds)

    def date_in(self, seconds: float) -> str:
        """An HTTP date."""
        return email.utils.formatdate(self.now + seconds, usegmt=True)


def stop_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("urllib3.util.retry", "tenacity.nap"):
        monkeypatch.setattr(f"{module}.time", clock)
    return clock

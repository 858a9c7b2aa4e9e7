"""Settings of the environment, as resources have them."""

import os

import dagster as dg
import pytest
from paged_api import Limits, Pagination

from elt.defs.resources import USERS_API_URL, users_api_from_environment


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("USERS_API_")]:
        monkeypatch.delenv(name)


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERS_API_TIMEOUT_S", "")  # as Compose passes what is not set
    resource = users_api_from_environment()
    assert resource.base_url == USERS_API_URL
    assert resource.api().limits == Limits()


def test_every_setting_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERS_API_URL", "https://me:secret@example.com")
    monkeypatch.setenv("USERS_API_TIMEOUT_S", "1.5")
    monkeypatch.setenv("USERS_API_RETRY_AFTER_LIMIT_S", "2")
    monkeypatch.setenv("USERS_API_DEADLINE_S", "3")
    monkeypatch.setenv("USERS_API_MAX_MIB", "0.5")
    monkeypatch.setenv("USERS_API_MAX_PAGES", "4")
    monkeypatch.setenv("USERS_API_MAX_MISSING_SHARE", "0.1")
    monkeypatch.setenv("USERS_API_NEW_FIELDS", "add")
    resource = users_api_from_environment()
    assert resource.api().limits == Limits(
        timeout_s=1.5,
        retry_after_limit_s=2,
        deadline_s=3,
        max_bytes=512 * 1024,
        max_pages=4,
    )
    assert resource.max_missing_share == 0.1
    assert resource.new_fields == "add"
    assert resource.base_url == dg.EnvVar("USERS_API_URL")


def test_declared_paging(monkeypatch: pytest.MonkeyPatch) -> None:
    assert users_api_from_environment().api().pagination == Pagination(settings="USERS_API_")
    for name, value in {
        "PAGINATION": "page",
        "RECORDS_PATH": "content",
        "NEXT_PATH": "a.next",
        "PAGE_PARAM": "p",
        "FIRST_PAGE": "0",
        "PAGE_SIZE_PARAM": "size",
        "PAGE_SIZE": "50",
        "TOTAL_PATH": "X-Total",
        "IGNORED_SIGNS": "meta.Total, more",
    }.items():
        monkeypatch.setenv(f"USERS_API_{name}", value)
    assert users_api_from_environment().api().pagination == Pagination(
        "page",
        "content",
        "a.next",
        "p",
        0,
        "size",
        50,
        "X-Total",
        frozenset({"meta.total", "more"}),
        "USERS_API_",
    )


def test_ways_to_page_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERS_API_PAGINATION", "pages")
    expected = "USERS_API_PAGINATION is 'pages': .*'none', 'link-header', 'next-link', 'page', "
    with pytest.raises(ValueError, match=expected):
        users_api_from_environment()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIMEOUT_S", "soon"),
        ("TIMEOUT_S", "0"),
        ("MAX_PAGES", "1.5"),
        ("DEADLINE_S", "-1"),
        ("NEW_FIELDS", "drop"),
        ("PAGINATION", "guess"),
        ("FIRST_PAGE", "-1"),
    ],
)
def test_settings_out_of_range_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"USERS_API_{name}", value)
    with pytest.raises(ValueError, match=f"^USERS_API_{name} is '{value}': Input should be "):
        users_api_from_environment()

"""The users API as a run meets it: busy, page by page, down.

What it makes of each answer: packages/paged_api/tests, and test_users_assets.py of elt.
"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from harness import Stack
from runs import launch


def user(number: int) -> dict[str, Any]:
    """A user as the default API has them."""
    return {
        "id": number,
        "name": f"Üser {number}",
        "username": f"user{number}",
        "email": f"user{number}@example.com",
        "address": {
            "street": "Main",
            "suite": "1",
            "city": "Århus",
            "zipcode": "8000",
            "geo": {"lat": "56.1", "lng": "10.2"},
        },
        "phone": "1",
        "website": "example.com",
        "company": {"name": "Co", "catchPhrase": "a 'quoted' phrase", "bs": "b"},
    }


def rows(stack: Stack) -> list[list[str]]:
    """The users whom the API had when it was last read."""
    return stack.sql("SELECT * FROM raw.users WHERE missing_since IS NULL ORDER BY 1")


@pytest.fixture(autouse=True)
def forget_requests(users_api: HTTPServer) -> None:
    users_api.clear()


@pytest.mark.long
def test_an_api_that_stays_down_fails_the_run_and_keeps_the_table(
    stack: Stack, users_api: HTTPServer
) -> None:
    users_api.expect_request("/users").respond_with_json([user(1), user(2)])
    launch(stack, "elt", "sync_users_job").wait()
    before = rows(stack)
    assert len(before) == 2

    users_api.clear()
    users_api.expect_request("/users").respond_with_data("down", status=503)
    run = launch(stack, "elt", "sync_users_job")
    # After the step's own retries, which take some minutes.
    run.wait("FAILURE", seconds=480)
    assert users_api.url_for("/users").replace(users_api.host, "host.docker.internal") in run.text()
    assert "503" in run.text()
    assert rows(stack) == before


def test_pages_after_a_failure_and_with_a_rate_limit_between_them(
    stack: Stack, users_api: HTTPServer
) -> None:
    users_api.expect_ordered_request("/users").respond_with_data("busy", status=503)
    # A relative link: containers know this server by another name.
    users_api.expect_ordered_request("/users", query_string="").respond_with_json(
        [user(1), user(2)], headers={"Link": '<?page=2>; rel="next"'}
    )
    users_api.expect_ordered_request("/users", query_string="page=2").respond_with_data(
        "slow down", status=429, headers={"Retry-After": "1"}
    )
    users_api.expect_ordered_request("/users", query_string="page=2").respond_with_json([user(3)])
    launch(stack, "elt", "sync_users_job").wait()
    assert [row[0] for row in rows(stack)] == ["1", "2", "3"]
    assert [answer.status_code for _, answer in users_api.log] == [503, 200, 429, 200]

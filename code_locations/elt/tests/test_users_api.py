"""Reading users from a real HTTP server that misbehaves."""

import threading

import pytest
from pytest_httpserver import HTTPServer

from elt import users_api
from elt.errors import UsersApiError
from elt.users_api import RETRIES, fetch_users, flatten

ADA = {"id": 1, "name": "Ada"}


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_api, "BACKOFF_FACTOR_S", 0.001)


def fetch(server: HTTPServer, timeout_s: float = 5) -> list[dict[str, object]]:
    return fetch_users(server.url_for(""), timeout_s)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_failures_are_tried_again(httpserver: HTTPServer, status: int) -> None:
    for _ in range(2):
        httpserver.expect_ordered_request("/users").respond_with_data(status=status)
    httpserver.expect_ordered_request("/users").respond_with_json([ADA])
    assert fetch(httpserver) == [ADA]
    assert len(httpserver.log) == 3


def test_a_server_that_stays_down_is_named_with_its_last_answer(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_data(status=503)
    with pytest.raises(UsersApiError) as caught:
        fetch(httpserver)
    url = httpserver.url_for("/users")
    assert f"GET {url} failed" in str(caught.value)
    assert "the last of 5 attempts was answered with status 503" in str(caught.value)
    assert caught.value.details == {"url": url, "status": 503}
    assert len(httpserver.log) == RETRIES + 1


def test_other_failures_are_not_tried_again(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_data(status=404)
    with pytest.raises(UsersApiError, match="1 attempts was answered with status 404"):
        fetch(httpserver)
    assert len(httpserver.log) == 1


def test_nobody_listens() -> None:
    expected = r"GET http://127.0.0.1:9/users failed: .*refused.* after 5 attempts"
    with pytest.raises(UsersApiError, match=expected):
        fetch_users("http://127.0.0.1:9/", 5)


def test_a_server_that_says_nothing(httpserver: HTTPServer) -> None:
    tests_end = threading.Event()
    httpserver.expect_request("/users").respond_with_handler(lambda _: tests_end.wait(30))
    try:
        with pytest.raises(UsersApiError, match=r"/users failed: .*timed out.* after 5"):
            fetch(httpserver, timeout_s=0.05)
    finally:
        tests_end.set()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<html>Sign in</html>", "not JSON: .*; the answer begins '<html>Sign in</html>'"),
        ("", "not JSON"),
        ('{"users": []}', "JSON dict, not a list"),
        ("null", "JSON NoneType, not a list"),
        ('[{"id": 1}, 2]', "record 2: not an object but '2'"),
    ],
)
def test_answers_that_are_not_users(httpserver: HTTPServer, body: str, complaint: str) -> None:
    httpserver.expect_request("/users").respond_with_data(body)
    with pytest.raises(UsersApiError, match=complaint) as caught:
        fetch(httpserver)
    assert httpserver.url_for("/users") in str(caught.value)


def test_flatten() -> None:
    nested = {"id": 1, "address": {"geo": {"latDeg": "1.5"}}, "catchPhrase": None, "tags": [1]}
    assert flatten(nested) == {
        "id": 1,
        "address_geo_lat_deg": "1.5",
        "catch_phrase": None,
        "tags": [1],
    }

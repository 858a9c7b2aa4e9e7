"""A real HTTP server that is busy, slow, down or hostile."""

import base64
import dataclasses
import threading
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from server import ADA, BOB, LINKED, NEXT, PATIENT, fetch, read, stop_clock
from werkzeug import Request, Response

from paged_api import ApiError, client
from paged_api.client import RETRIES

# Seconds of dripping; without an end, a test that fails would have none either.
DROPS = 1000


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACKOFF_S", 0.001)


@pytest.fixture
def tests_end() -> Iterator[threading.Event]:
    """What a handler that never answers waits for."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_failures_are_tried_again(httpserver: HTTPServer, status: int) -> None:
    for _ in range(2):
        httpserver.expect_ordered_request("/users").respond_with_data("busy", status=status)
    httpserver.expect_ordered_request("/users").respond_with_json([ADA])
    assert fetch(httpserver).records == [ADA]
    assert len(httpserver.log) == 3


def test_a_server_that_stays_down_is_named_with_its_last_answer(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_data("down for the night", status=503)
    with pytest.raises(ApiError) as caught:
        fetch(httpserver)
    url = httpserver.url_for("/users")
    assert str(caught.value) == (
        f"GET {url}, page 1: failed after 5 attempts: status 503 SERVICE UNAVAILABLE; "
        "the answer begins 'down for the night'"
    )
    assert caught.value.details == {"url": url, "page": 1, "status": 503}
    assert len(httpserver.log) == RETRIES + 1


@pytest.mark.parametrize("status", [201, 204, 400, 401, 404, 501])
def test_other_statuses_are_not_tried_again(httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/users").respond_with_data("", status=status)
    with pytest.raises(ApiError, match=f"failed: status {status} [A-Z ]+$"):
        fetch(httpserver)
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_obeyed(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, as_date: bool
) -> None:
    clock = stop_clock(monkeypatch)
    headers = {"Retry-After": clock.date_in(40) if as_date else "40"}
    httpserver.expect_ordered_request("/users").respond_with_data(status=status, headers=headers)
    httpserver.expect_ordered_request("/users").respond_with_json([ADA])
    assert fetch(httpserver).records == [ADA]
    assert clock.sleeps == [40]


@pytest.mark.parametrize("seconds", ["0", "-5"])
def test_a_retry_after_that_has_passed(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    clock = stop_clock(monkeypatch)
    headers = {"Retry-After": clock.date_in(int(seconds))}
    httpserver.expect_ordered_request("/users").respond_with_data(status=429, headers=headers)
    httpserver.expect_ordered_request("/users").respond_with_json([ADA])
    assert fetch(httpserver).records == [ADA]
    assert not clock.sleeps


def test_a_retry_after_that_says_nothing_counts_as_none(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stop_clock(monkeypatch)
    headers = {"Retry-After": "soon"}
    for _ in range(2):
        httpserver.expect_ordered_request("/users").respond_with_data(status=429, headers=headers)
    httpserver.expect_ordered_request("/users").respond_with_json([ADA])
    assert fetch(httpserver).records == [ADA]
    assert clock.sleeps == [0.001]


@pytest.mark.parametrize("as_date", [False, True])
def test_a_retry_after_above_the_limit_is_not_waited_for(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, as_date: bool
) -> None:
    clock = stop_clock(monkeypatch)
    headers = {"Retry-After": clock.date_in(86400) if as_date else "86400"}
    httpserver.expect_request("/users").respond_with_data(status=429, headers=headers)
    with pytest.raises(ApiError) as caught:
        fetch(httpserver)
    assert "status 429 asks to wait 86400 s (Retry-After), more than the limit of 60 s" in str(
        caught.value
    )
    assert caught.value.details["status"] == 429
    assert not clock.sleeps
    assert len(httpserver.log) == 1


def test_a_wait_beyond_the_deadline_is_not_begun(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = stop_clock(monkeypatch)
    headers = {"Retry-After": "50"}
    httpserver.expect_request("/users").respond_with_data(status=503, headers=headers)
    limits = dataclasses.replace(PATIENT, deadline_s=30)
    expected = "status 503, and a wait of 50 s would end after the time for all pages, 30 s"
    with pytest.raises(ApiError, match=expected):
        fetch(httpserver, limits)
    assert not clock.sleeps


def test_an_endless_refusal_is_not_read(httpserver: HTTPServer, tests_end: threading.Event) -> None:
    drops = list(range(DROPS))

    def endless(_: Request) -> Response:
        return Response(_drip(b" " * 100_000, tests_end, drops), status=503)

    httpserver.expect_ordered_request("/users").respond_with_handler(endless)
    httpserver.expect_ordered_request("/users").respond_with_json([ADA])
    assert fetch(httpserver).records == [ADA]
    assert drops


def test_nobody_listens() -> None:
    expected = r"GET http://127.0.0.1:9/users, page 1: failed after 5 attempts: .*refused"
    with pytest.raises(ApiError, match=expected):
        read("http://127.0.0.1:9/", PATIENT)


def test_a_server_that_says_nothing(httpserver: HTTPServer, tests_end: threading.Event) -> None:
    httpserver.expect_request("/users").respond_with_handler(lambda _: tests_end.wait(30))
    limits = dataclasses.replace(PATIENT, timeout_s=0.05)
    with pytest.raises(ApiError, match=r"page 1: failed after 5 attempts: .*timed out"):
        fetch(httpserver, limits)


def test_a_server_that_drips_meets_the_deadline(
    httpserver: HTTPServer, tests_end: threading.Event
) -> None:
    drops = list(range(DROPS))
    httpserver.expect_request("/users").respond_with_handler(
        lambda _: Response(_drip(b" ", tests_end, drops), content_type="application/json")
    )
    limits = dataclasses.replace(PATIENT, deadline_s=0.3)
    with pytest.raises(ApiError, match=r"the time for all pages, 0\.3 s, is up"):
        fetch(httpserver, limits)
    assert drops


def test_the_deadline_is_for_all_pages(httpserver: HTTPServer) -> None:
    def one_more(request: Request) -> Response:
        page = int(request.args.get("page", "1"))
        headers = {"Link": f"<?page={page + 1}>; rel=next"}
        return Response(f'[{{"id": {page}}}]', headers=headers)

    httpserver.expect_request("/users").respond_with_handler(one_more)
    limits = dataclasses.replace(PATIENT, deadline_s=0.5, max_pages=10**9)
    with pytest.raises(ApiError, match=r"the time for all pages, 0\.5 s, is up"):
        fetch(httpserver, limits, pagination=LINKED)


def test_redirects_on_the_same_server_are_followed(httpserver: HTTPServer) -> None:
    moved = {"Location": "/people/"}
    httpserver.expect_request("/users").respond_with_data(status=301, headers=moved)
    headers = {"Link": "<more>; rel=next"}
    httpserver.expect_request("/people/").respond_with_json([ADA], headers=headers)
    httpserver.expect_request("/people/more").respond_with_json([BOB])
    assert fetch(httpserver, pagination=LINKED).records == [ADA, BOB]


def test_redirects_to_another_server_are_not(httpserver: HTTPServer) -> None:
    target = f"http://127.0.0.1:{httpserver.port}/users?token=s3cret"
    headers = {"Location": target}
    httpserver.expect_request("/users").respond_with_data(status=302, headers=headers)
    expected = r"status 302 redirects to http://127\.0\.0\.1:\d+/users\?token=\*\*\*, which is"
    with pytest.raises(ApiError, match=expected):
        fetch(httpserver)
    assert len(httpserver.log) == 1


def test_user_and_password_go_to_every_page_and_into_no_message(httpserver: HTTPServer) -> None:
    base = httpserver.url_for("").replace("http://", "http://me:p%40ss%20word@")
    other = httpserver.url_for("").replace("http://", "http://me:too@")
    sent = "Basic " + base64.b64encode(b"me:p@ss word").decode()
    answer = "no such page: p@ss word, p%40ss%20word, t0ken"
    last = httpserver.expect_request("/users", query_string="page=2&token=t0ken")
    last.respond_with_data(answer, status=404)
    httpserver.expect_request("/users").respond_with_json(
        {"data": [ADA], "next": other.rstrip("/") + "/users?page=2&token=t0ken"}
    )
    with pytest.raises(ApiError) as caught:
        read(base, PATIENT, pagination=NEXT)
    assert [request.headers["Authorization"] for request, _ in httpserver.log] == [sent] * 2
    assert "begins 'no such page: ***, ***, ***'" in str(caught.value)
    for secret in ("p@ss", "p%40ss", "t0ken"):
        assert secret not in str(caught.value)
        assert secret not in str(caught.value.details)


def test_a_page_cannot_give_us_a_password_to_send(httpserver: HTTPServer) -> None:
    link = httpserver.url_for("/users?page=2").replace("http://", "http://me:password@")
    httpserver.expect_request("/users", query_string="page=2").respond_with_json([BOB])
    headers = {"Link": f"<{link}>; rel=next"}
    httpserver.expect_request("/users").respond_with_json([ADA], headers=headers)
    assert fetch(httpserver, pagination=LINKED).records == [ADA, BOB]
    assert not any("Authorization" in request.headers for request, _ in httpserver.log)


def test_a_failed_connection_tells_no_secret() -> None:
    with pytest.raises(ApiError) as caught:
        read("http://me:password@127.0.0.1:9/?token=t0ken", PATIENT)
    assert "page 1: failed after 5 attempts: " in str(caught.value)
    assert "password" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


def _drip(drop: bytes, end: threading.Event, drops: list[int]) -> Iterator[bytes]:
    """Nearly endless; takes from `drops` what it gives."""
    while drops and not end.wait(0.005):
        drops.pop()
        yield drop

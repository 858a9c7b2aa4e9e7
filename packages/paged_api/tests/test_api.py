"""Reading users, page by page, from a real HTTP server."""

import dataclasses
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from server import ADA, BOB, EVE, LINKED, NEXT, PATIENT, fetch, linked, read
from werkzeug import Request, Response

from paged_api import ApiError, Pagination


def test_a_plain_list_is_all_there_is(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_json([ADA, BOB])
    fetched = fetch(httpserver)
    assert fetched.records == [ADA, BOB]
    assert (fetched.pages, fetched.moved) == (1, 0)
    assert len(httpserver.log) == 1
    assert fetched.bytes_read == len(httpserver.log[0][1].get_data())


def test_nobody_at_all(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_json([])
    assert fetch(httpserver).records == []


@pytest.mark.parametrize("absolute", [True, False])
def test_link_headers_are_followed(httpserver: HTTPServer, absolute: bool) -> None:
    start = httpserver.url_for("/users") if absolute else ""
    linked(httpserver, f"{start}?page=2", [ADA])
    linked(httpserver, f"{start}?page=3", [BOB], "page=2")
    linked(httpserver, None, [EVE], "page=3")
    httpserver.handlers.reverse()  # the one without a query matches any
    fetched = fetch(httpserver, pagination=LINKED)
    assert fetched.records == [ADA, BOB, EVE]
    assert fetched.pages == 3


@pytest.mark.parametrize(
    "header",
    [
        '<{next}>; rel="next", <{next}9>; rel="last"',
        '<{next}9>; rel="last prev", <{next}>; rel="NEXT last"',
        "<{next}>; rel=next",
        '<{next}>; title="more"; rel="next"',
    ],
)
def test_ways_to_write_a_link(httpserver: HTTPServer, header: str) -> None:
    url = httpserver.url_for("/users?page=2")
    httpserver.expect_request("/users", query_string="page=2").respond_with_json([BOB])
    httpserver.expect_request("/users").respond_with_json(
        [ADA], headers={"Link": header.format(next=url)}
    )
    assert fetch(httpserver, pagination=LINKED).records == [ADA, BOB]


@pytest.mark.parametrize(
    "header", ['<{}>; rel="last"', '<{}>; rel="nextcloud"', '<{}>; rel="prev"']
)
def test_other_links_lead_nowhere(httpserver: HTTPServer, header: str) -> None:
    url = httpserver.url_for("/users?page=2")
    headers = {"Link": header.format(url)}
    httpserver.expect_request("/users").respond_with_json([ADA], headers=headers)
    assert fetch(httpserver).records == [ADA]


def test_a_link_that_cannot_be_read_is_no_end(httpserver: HTTPServer) -> None:
    headers = {"Link": '</users?page=2>; title="a=b"; rel="next"'}
    httpserver.expect_request("/users").respond_with_json([ADA], headers=headers)
    with pytest.raises(ApiError, match="page 1: the Link header names a next page"):
        fetch(httpserver, pagination=LINKED)


@pytest.mark.parametrize("name", ["data", "items", "results", "users"])
@pytest.mark.parametrize("end", [{"next": None}, {"next": ""}, {}])
def test_next_in_the_body(httpserver: HTTPServer, name: str, end: dict[str, Any]) -> None:
    last = {name: [BOB], "count": 2, "nextOfKin": "kept", "has_more": False} | end
    httpserver.expect_request("/users", query_string="page=2").respond_with_json(last)
    first = {name: [ADA], "next": httpserver.url_for("/users?page=2"), "has_more": True}
    httpserver.expect_request("/users").respond_with_json(first)
    assert fetch(httpserver, pagination=NEXT).records == [ADA, BOB]


def test_a_page_that_leads_back(httpserver: HTTPServer) -> None:
    linked(httpserver, "?page=2", [BOB], "page=3")
    linked(httpserver, "?page=3", [ADA], "page=2")
    linked(httpserver, "?page=2", [])
    with pytest.raises(ApiError, match="page=3, page 3: the next page is said to be page 2"):
        fetch(httpserver, pagination=LINKED)
    assert len(httpserver.log) == 3


def test_an_api_that_ignores_the_page(httpserver: HTTPServer) -> None:
    def always_the_same(request: Request) -> Response:
        page = int(request.args.get("page", "1"))
        link = f"<?page={page + 1}>; rel=next"
        return Response('[{"id": 1}, {"id": 2}]', headers={"Link": link})

    httpserver.expect_request("/users").respond_with_handler(always_the_same)
    with pytest.raises(ApiError, match="page 2: all its records were on earlier pages"):
        fetch(httpserver, pagination=LINKED)
    assert len(httpserver.log) == 2


def test_no_more_pages_than_the_limit(httpserver: HTTPServer) -> None:
    linked(httpserver, "?page=3", [BOB], "page=2")
    linked(httpserver, None, [EVE], "page=3")
    linked(httpserver, "?page=2", [ADA])
    assert (
        len(fetch(httpserver, dataclasses.replace(PATIENT, max_pages=3), pagination=LINKED).records)
        == 3
    )
    httpserver.clear_log()
    with pytest.raises(ApiError, match="page 2: there are more pages than the limit of 2"):
        fetch(httpserver, dataclasses.replace(PATIENT, max_pages=2), pagination=LINKED)
    assert len(httpserver.log) == 2


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/users?page=2",
        "//elsewhere.example/users?page=2",
        "http://127.0.0.1:{port}/users?page=2",
        "https://localhost:{port}/users?page=2",
        "http://localhost:1/users?page=2",
        "file:///etc/passwd",
    ],
)
def test_no_other_server_is_asked(httpserver: HTTPServer, link: str) -> None:
    linked(httpserver, link.format(port=httpserver.port), [ADA])
    with pytest.raises(ApiError, match="which is another server: not asked"):
        fetch(httpserver, pagination=LINKED)
    assert len(httpserver.log) == 1


def test_a_next_page_that_is_no_url(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_json({"data": [ADA], "next": "http://[x/"})
    with pytest.raises(ApiError, match="page 1: the next page's address is not a URL"):
        fetch(httpserver, pagination=NEXT)


def test_users_who_moved_are_there_once_as_they_were_last(httpserver: HTTPServer) -> None:
    linked(httpserver, "?page=2", [ADA, BOB])
    linked(httpserver, None, [BOB | {"name": "Robert"}, EVE], "page=2")
    httpserver.handlers.reverse()
    fetched = fetch(httpserver, pagination=LINKED)
    assert fetched.records == [ADA, {"id": 2, "name": "Robert"}, EVE]
    assert fetched.moved == 1


def test_a_last_page_may_hold_nobody_new(httpserver: HTTPServer) -> None:
    linked(httpserver, "?page=2", [ADA, BOB])
    linked(httpserver, None, [BOB], "page=2")
    httpserver.handlers.reverse()
    assert fetch(httpserver, pagination=LINKED).records == [ADA, BOB]


def test_users_without_id_and_twice_on_a_page_are_left_for_the_load(httpserver: HTTPServer) -> None:
    odd: list[dict[str, Any]] = [{"name": "x"}, {"id": None}]
    linked(httpserver, "?page=2", [*odd, ADA, ADA])
    linked(httpserver, None, odd, "page=2")
    httpserver.handlers.reverse()
    fetched = fetch(httpserver, pagination=LINKED)
    assert fetched.records == [*odd, ADA, ADA, *odd]
    assert fetched.moved == 0


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('{"people": []}', "a JSON object, not a list, or an object with a list as data, items"),
        ('{"data": {"users": []}}', "a JSON object, not a list"),
        ('{"data": [], "users": []}', "data and users are lists; which one"),
        ("null", "a JSON NoneType, not a list"),
        ('[{"id": 1}, 2]', "record 2: not an object but '2'"),
        ('{"items": [[1]]}', "record 1: not an object but '.1.'"),
    ],
)
def test_answers_that_are_not_users(httpserver: HTTPServer, body: str, complaint: str) -> None:
    httpserver.expect_request("/users").respond_with_data(body)
    with pytest.raises(ApiError, match=complaint) as caught:
        fetch(httpserver)
    assert httpserver.url_for("/users") in str(caught.value)


def test_the_error_names_the_page(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users", query_string="page=2").respond_with_data("x", status=418)
    linked(httpserver, "?page=2", [ADA])
    with pytest.raises(ApiError) as caught:
        fetch(httpserver, pagination=LINKED)
    url = httpserver.url_for("/users?page=2")
    assert str(caught.value).startswith(f"GET {url}, page 2: failed: status 418 ")
    assert caught.value.details == {"url": url, "page": 2, "status": 418}


@pytest.mark.parametrize(
    "url", ["", "users", "ftp://example.com", "http://", "http://[x", "http://me:pass@word@:0"]
)
def test_base_urls_that_are_none(url: str) -> None:
    with pytest.raises(ApiError, match="base_url is not an http or https URL") as caught:
        read(url)
    assert "pass" not in str(caught.value)
    with pytest.raises(ApiError, match="SHOP_URL is not an http or https URL"):
        read(url, pagination=Pagination(settings="SHOP_"))


def test_a_base_url_with_a_path_and_a_query(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/users", query_string="key=abc").respond_with_json([ADA])
    assert fetch(httpserver, path="/v1/?key=abc").records == [ADA]

"""Signs of more users, in the words of common APIs, and how each API is declared."""

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from server import fetch
from werkzeug import Request, Response

from paged_api import ApiError, Pagination

USERS = [{"id": number, "name": f"User {number}"} for number in range(1, 11)]
MORE: list[tuple[Any, dict[str, str], str]] = [
    ({"users": USERS, "total": 100, "skip": 0, "limit": 30}, {}, "'total' is '100'"),
    ({"page": 1, "per_page": 10, "total_pages": 2, "data": USERS}, {}, "'total_pages' is '2'"),
    ({"users": USERS, "more": True}, {}, "'more' is 'True'"),
    ({"users": USERS, "hasMore": 1}, {}, "'hasMore' is '1'"),
    ({"users": USERS, "limit": 10, "offset": 0}, {}, "'limit' is '10'"),
    ({"users": USERS, "next": 2}, {}, "'next' is '2'"),
    ({"users": USERS, "nextPageToken": "abc"}, {}, "'nextPageToken' is 'abc'"),
    ({"users": USERS, "truncated": "true"}, {}, "'truncated' is 'true'"),
    ({"users": USERS, "paging": {"next": {"after": "NTI1"}}}, {}, "'paging.next' is "),
    ({"users": USERS, "pageInfo": {"hasNextPage": True}}, {}, "'pageInfo.hasNextPage'"),
    # GitHub, GitLab, WordPress, json-server, .NET
    (USERS, {"Link": '<?page=2>; rel="next"'}, "'Link; rel=next' is '.page=2'"),
    (USERS, {"X-Next-Page": "2"}, "'X-Next-Page' is '2'"),
    (USERS, {"X-Total-Pages": "3"}, "'X-Total-Pages' is '3'"),
    (USERS, {"X-WP-TotalPages": "3"}, "'X-WP-TotalPages' is '3'"),
    (USERS, {"X-Total-Count": "120"}, "'X-Total-Count' is '120'"),
    (USERS, {"X-Total": "120"}, "'X-Total' is '120'"),
    (USERS, {"Content-Range": "users 0-9/120"}, "'Content-Range' is '120'"),
    (USERS, {"X-Pagination": '{"TotalCount": 100}'}, "'X-Pagination.TotalCount' is '100'"),
    # Stripe, Django REST framework, JSON:API, HAL, OData
    ({"object": "list", "data": USERS, "has_more": True}, {}, "'has_more' is 'True'"),
    ({"count": 1023, "next": None, "results": USERS}, {}, "'count' is '1023'"),
    ({"data": USERS, "links": {"next": "/users?page=2"}}, {}, r"'links.next' is '/users\?page=2'"),
    ({"data": USERS, "links": {"next": {"href": "/u"}}}, {}, "'links.next.href' is '/u'"),
    ({"data": USERS, "meta": {"pagination": {"pages": 5}}}, {}, "'meta.pagination.pages' is '5'"),
    ({"items": USERS, "_links": {"next": {"href": "/u"}}}, {}, "'_links.next.href' is '/u'"),
    ({"items": USERS, "@odata.nextLink": "/u"}, {}, "'@odata.nextLink' is '/u'"),
    ({"items": USERS, "@odata.count": 42}, {}, "'@odata.count' is '42'"),
    # Elasticsearch, Spring Data, Laravel, FHIR, Salesforce
    ({"items": USERS, "hits": {"total": {"value": 42}}}, {}, "'hits.total.value' is '42'"),
    ({"items": USERS, "last": False}, {}, "'last' is 'False'"),
    ({"items": USERS, "page": {"totalElements": 42}}, {}, "'page.totalElements' is '42'"),
    ({"items": USERS, "page": {"totalPages": 5}}, {}, "'page.totalPages' is '5'"),
    ({"data": USERS, "current_page": 1, "last_page": 3}, {}, "'last_page' is '3'"),
    ({"data": USERS, "next_page_url": "/users?page=2"}, {}, "'next_page_url' is "),
    ({"data": USERS, "link": [{"relation": "next", "url": "/u"}]}, {}, "'link.next' is '/u'"),
    ({"data": USERS, "totalSize": 42, "done": False}, {}, "'totalSize' is '42'"),
]
END: list[dict[str, Any]] = [
    {"next": False},
    {"next": ""},
    {"has_more": "false"},
    {"hasMore": 0},
    {"next_cursor": "0"},
    {"total": 10, "limit": 10, "skip": 0},
    {"count": 10, "next": None, "previous": None},
    {"last": True, "totalPages": 1, "totalElements": 10, "numberOfElements": 10, "size": 10},
    {"current_page": 1, "last_page": 1, "next_page_url": None, "per_page": 10, "total": 10},
    {"links": {"next": None, "last": "/users?page=1"}, "_links": {"next": {"href": None}}},
    {"nextOfKin": "kept", "success": True, "errors": [], "error": None, "status": "ok"},
    {"links": [{"rel": "self", "href": "/users"}]},
]


@pytest.mark.parametrize(("body", "headers", "sign"), MORE)
def test_any_sign_of_more_is_an_error_that_names_it(
    httpserver: HTTPServer, body: Any, headers: dict[str, str], sign: str
) -> None:
    httpserver.expect_request("/users").respond_with_json(body, headers=headers)
    with pytest.raises(ApiError, match=sign) as caught:
        fetch(httpserver)
    assert "so there are more records than the 10 that were read" in str(caught.value)
    assert "Fix: set kind" in str(caught.value)
    assert not caught.value.may_pass


@pytest.mark.parametrize("end", END)
@pytest.mark.parametrize("kind", ["none", "next-link", "link-header"])
def test_what_says_that_this_is_all(httpserver: HTTPServer, end: dict[str, Any], kind: Any) -> None:
    httpserver.expect_request("/users").respond_with_json({"users": USERS} | end)
    assert fetch(httpserver, pagination=Pagination(kind)).records == USERS


def test_a_sign_that_means_something_else(httpserver: HTTPServer) -> None:
    body = {"users": USERS, "meta": {"total": 99}}
    httpserver.expect_request("/users").respond_with_json(body)
    ignored = Pagination(ignored_signs=frozenset({"meta.total"}))
    assert fetch(httpserver, pagination=ignored).records == USERS


@pytest.mark.parametrize(
    "error",
    [
        {"success": False},
        {"ok": "false"},
        {"error": "no such key"},
        {"errors": [{"message": "x"}]},
        {"status": "error"},
    ],
)
def test_an_error_with_status_200(httpserver: HTTPServer, error: dict[str, Any]) -> None:
    httpserver.expect_request("/users").respond_with_json({"data": []} | error)
    name = next(iter(error))
    with pytest.raises(ApiError, match=f"an error with status 200: '{name}' is "):
        fetch(httpserver)


def paged(server: HTTPServer, style: str) -> None:
    """USERS, four on a page, as the given kind of API has them."""

    def answer(request: Request) -> Response:
        query = request.args
        start = {
            "page": (int(query.get("page", 1)) - 1) * 4,
            "offset": int(query.get("skip", 0)),
            "cursor": int(query.get("starting_after", 0)),
        }[style]
        users = USERS[start : start + 4]
        server_json = {"users": users, "total": len(USERS), "has_more": start + 4 < len(USERS)}
        return Response(json.dumps(server_json), content_type="application/json")

    server.expect_request("/users").respond_with_handler(answer)


@pytest.mark.parametrize("total_path", ["", "total"])
@pytest.mark.parametrize(
    ("style", "settings"),
    [
        ("page", {"page_size": 4, "page_size_param": "per_page"}),
        ("offset", {"page_param": "skip"}),
        ("cursor", {"page_param": "starting_after", "next_path": "users.-1.id"}),
    ],
)
def test_declared_pages(
    httpserver: HTTPServer, style: Any, settings: dict[str, Any], total_path: str
) -> None:
    paged(httpserver, style)
    declared = Pagination(style, total_path=total_path, **settings)
    assert fetch(httpserver, pagination=declared).records == USERS
    requests = 3 if total_path and style != "cursor" else 4
    assert len(httpserver.log) == requests
    if "page_size" in settings:
        assert httpserver.log[0][0].args["per_page"] == "4"


def test_fewer_users_than_the_total(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users", query_string="offset=0").respond_with_json(
        {"users": USERS, "total": 12}
    )
    httpserver.expect_request("/users").respond_with_json({"users": [], "total": 12})
    with pytest.raises(ApiError, match="'total' is '12', so there are more records than the 10"):
        fetch(httpserver, pagination=Pagination("offset"))


def test_a_wrong_path_of_the_total(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_json({"users": USERS})
    with pytest.raises(ApiError, match=r"'meta.all' \(total_path\) is not a number"):
        fetch(httpserver, pagination=Pagination("page", total_path="meta.all"))


def test_a_declared_path_of_the_users(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_json({"_embedded": {"people": USERS}})
    declared = Pagination(records_path="_embedded.people")
    assert fetch(httpserver, pagination=declared).records == USERS
    with pytest.raises(ApiError, match=r"'value' \(records_path\) is not a list"):
        fetch(httpserver, pagination=Pagination(records_path="value"))


@pytest.mark.parametrize(
    ("path", "next_page"),
    [("@odata.nextLink", "?a"), ("a.list.-1.next", "?b"), ("a.b.c", "?c"), ("a.x", None)],
)
def test_paths(httpserver: HTTPServer, path: str, next_page: str | None) -> None:
    body = {"@odata.nextLink": "?a", "a": {"list": [{}, {"next": "?b"}], "b.c": "?c"}}
    httpserver.expect_ordered_request("/users").respond_with_json({"users": [USERS[0]]} | body)
    httpserver.expect_ordered_request("/users").respond_with_json({"users": [USERS[1]]})
    ignored = frozenset({"@odata.nextlink", "a.list.next"})
    fetched = fetch(
        httpserver, pagination=Pagination("next-link", next_path=path, ignored_signs=ignored)
    )
    asked = [request.query_string.decode() for request, _ in httpserver.log]
    assert asked == ["", next_page[1:]] if next_page else [""]
    assert len(fetched) == len(asked)


def test_messages_name_the_settings(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/users").respond_with_json({"users": USERS, "next": "/users?page=2"})
    expected = (
        "read with SHOP_PAGINATION=none. Fix: set SHOP_PAGINATION=next-link and "
        "SHOP_NEXT_PATH=next; if it means something else, add next to SHOP_IGNORED_SIGNS"
    )
    with pytest.raises(ApiError, match=expected):
        fetch(httpserver, pagination=Pagination(settings="SHOP_"))

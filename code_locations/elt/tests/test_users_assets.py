"""Users from a real HTTP server into a real PostgreSQL, by the job that does it."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
from location_kit.postgres import PostgresResource
from location_kit.testing import query
from paged_api import client
from pytest_httpserver import HTTPServer

from elt.definitions import defs
from elt.defs.assets.users import api_users
from elt.defs.resources import UsersApiResource

ADA: dict[str, Any] = {"id": 1, "name": "Ada"}
BOB: dict[str, Any] = {"id": 2, "name": "Bob"}
EVE: dict[str, Any] = {"id": 3, "name": "Eve"}
Sync = Callable[..., dg.ExecuteInProcessResult]
MARKS = "SELECT id, name, missing_since FROM raw.users ORDER BY id"


@pytest.fixture
def sync(
    warehouse: PostgresResource, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> Sync:
    """Runs the job against an API that answers the given body."""
    monkeypatch.setattr(client, "BACKOFF_S", 0.001)

    def run(
        body: object, share_of_this_run: float | None = None, **settings: Any
    ) -> dg.ExecuteInProcessResult:
        httpserver.clear()
        httpserver.expect_request("/users").respond_with_json(body)
        api = UsersApiResource(**{"base_url": httpserver.url_for("")} | settings)
        config = {"max_missing_share": share_of_this_run}
        return defs.resolve_job_def("sync_users_job").execute_in_process(
            resources={"postgres": warehouse, "users_api": api},
            run_config={"ops": {"users_in_postgres": {"config": config}}}
            if share_of_this_run
            else {},
            raise_on_error=False,
        )

    return run


def metadata(result: dg.ExecuteInProcessResult, asset: str = "users_in_postgres") -> dict[str, Any]:
    assert result.success
    (materialization,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in materialization.metadata.items()}


def failure(result: dg.ExecuteInProcessResult, step: str) -> tuple[str, dict[str, Any]]:
    """Description and metadata of the failure that a step ended with."""
    (event,) = (event for event in result.get_step_failure_events() if event.step_key == step)
    data = event.step_failure_data.user_failure_data
    assert data is not None, event.step_failure_data.error_display_string
    return str(data.description), {name: value.value for name, value in data.metadata.items()}


def test_pages_and_what_they_took_are_metadata(sync: Sync) -> None:
    seen = metadata(sync([ADA, BOB]), "api_users")
    assert (seen["dagster/row_count"], seen["pages"], seen["moved_between_pages"]) == (2, 1, 0)
    assert seen["bytes"] > 0


def test_users_who_vanish_are_marked_once_and_unmarked_when_they_return(
    sync: Sync, warehouse: PostgresResource
) -> None:
    assert metadata(sync([ADA, BOB, EVE]))["marked"] == 0
    assert [row[2] for row in query(warehouse, MARKS)] == [None] * 3

    assert metadata(sync([ADA, EVE]))["marked"] == 1
    first = query(warehouse, MARKS)
    assert [row[:2] for row in first] == [(1, "Ada"), (2, "Bob"), (3, "Eve")]
    assert [row[2] is None for row in first] == [True, False, True]

    assert metadata(sync([ADA, EVE]))["marked"] == 0
    assert query(warehouse, MARKS) == first

    assert metadata(sync([ADA, BOB | {"name": "Robert"}, EVE]))["updated"] == 1
    assert query(warehouse, MARKS) == [(1, "Ada", None), (2, "Robert", None), (3, "Eve", None)]


@pytest.mark.parametrize("answer", [[], [ADA], {"data": []}, [ADA, {"id": 4}, {"id": 5}]])
def test_when_most_users_vanish_the_api_is_not_believed(
    sync: Sync, warehouse: PostgresResource, answer: object
) -> None:
    assert sync([ADA, BOB, EVE]).success
    before = query(warehouse, MARKS)
    description, details = failure(sync(answer), "users_in_postgres")
    assert "of the 3 users in raw.users are gone, more than the limit of 50%" in description
    assert "nothing was changed" in description
    assert details["known"] == 3
    assert details["missing"] >= 2
    assert query(warehouse, MARKS) == before


def test_half_of_the_users_may_vanish(sync: Sync, warehouse: PostgresResource) -> None:
    assert sync([ADA, BOB]).success
    assert metadata(sync([BOB]))["marked"] == 1
    # Those who are marked no longer count: one of the one who is left would be all.
    assert not sync([ADA]).success
    assert [row[2] is None for row in query(warehouse, MARKS)] == [False, True]


def test_ids_with_a_fraction_of_nothing_are_the_same_users(
    sync: Sync, warehouse: PostgresResource
) -> None:
    assert sync([ADA, BOB, EVE]).success
    seen = metadata(sync([user | {"id": float(user["id"])} for user in (ADA, BOB, EVE)]))
    assert (seen["unchanged"], seen["marked"], seen["rejected"]) == (3, 0, 0)


def test_ids_of_another_type_are_named(sync: Sync, warehouse: PostgresResource) -> None:
    assert sync([ADA, BOB, EVE]).success
    uuid = "0b0e7d2c-7c9b-4b3e-9a53-3f9c6c3f0a11"
    description, details = failure(sync([{"id": uuid}, {"id": 2.5}]), "users_in_postgres")
    assert f"2 of 2 values of id are not bigint, the first is '{uuid}'" in description
    assert "gone" not in description
    assert details["column"] == "id"


@pytest.mark.parametrize(("status", "may_pass"), [(503, True), (429, True), (404, False)])
def test_only_what_may_pass_is_tried_again_by_the_run(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, may_pass: bool
) -> None:
    monkeypatch.setattr(client, "BACKOFF_S", 0.001)
    httpserver.expect_request("/users").respond_with_data("no", status=status)
    with pytest.raises(dg.Failure) as caught:
        api_users(UsersApiResource(base_url=httpserver.url_for("")))
    assert caught.value.allow_retries is may_pass


def test_an_api_that_nobody_listens_at_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACKOFF_S", 0.001)
    with pytest.raises(dg.Failure) as caught:
        api_users(UsersApiResource(base_url="http://127.0.0.1:9"))
    assert caught.value.allow_retries
    policy = api_users.op.retry_policy
    assert policy is not None
    assert (policy.max_retries, policy.backoff) == (3, dg.Backoff.EXPONENTIAL)


def test_the_way_out_that_the_message_names(sync: Sync, warehouse: PostgresResource) -> None:
    assert sync([ADA, BOB, EVE]).success
    description, _ = failure(sync([]), "users_in_postgres")
    assert description.endswith(
        "launch the run with this config: "
        "{ops: {users_in_postgres: {config: {max_missing_share: 1}}}}"
    )
    result = sync([], share_of_this_run=1)
    assert metadata(result)["marked"] == 3
    assert all(row[2] is not None for row in query(warehouse, MARKS))


def test_the_share_is_a_setting(sync: Sync) -> None:
    assert sync([ADA, BOB, EVE]).success
    assert not sync([ADA, BOB], max_missing_share=0.3).success
    assert sync([ADA, BOB], max_missing_share=0.34).success


def test_nobody_at_first_is_believed(sync: Sync, warehouse: PostgresResource) -> None:
    assert sync([]).success
    assert sync([]).success
    assert query(warehouse, MARKS) == []


def test_a_table_from_before_there_were_marks(sync: Sync, warehouse: PostgresResource) -> None:
    assert sync([ADA, BOB, EVE]).success
    with warehouse.get_connection() as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE raw.users DROP COLUMN missing_since")
    assert not sync([EVE]).success
    assert metadata(sync([ADA, BOB]))["marked"] == 1
    assert [row[2] is None for row in query(warehouse, MARKS)] == [True, True, False]


def test_fields_that_are_new_or_missing_are_reported(
    sync: Sync, warehouse: PostgresResource
) -> None:
    user = {
        "username": "a",
        "email": "a",
        "phone": "a",
        "website": "a",
        "address": None,
        "company": {"name": "x", "catchPhrase": ["a", 1], "bs": None, "taxID": 7},
    }
    seen = metadata(sync([ADA | user, BOB | user | {"karma": 1}, {"id": 4} | user]))
    assert seen["undeclared_fields"] == "company_tax_id, karma"
    assert seen["missing_fields"] == "name (1 of 3 users)"
    statement = "SELECT name, address_city, company_catch_phrase FROM raw.users ORDER BY id"
    assert query(warehouse, statement)[1:] == [("Bob", None, '["a", 1]'), (None, None, '["a", 1]')]


def test_no_drift_is_said_too(sync: Sync) -> None:
    geo = {"lat": "1", "lng": "2"}
    user = {
        "username": "a",
        "email": "a",
        "phone": "a",
        "website": "a",
        "address": {"street": "a", "suite": "a", "city": "a", "zipcode": "a", "geo": geo},
        "company": {"name": "x", "catchPhrase": "x", "bs": "x"},
    }
    seen = metadata(sync([ADA | user]))
    assert (seen["undeclared_fields"], seen["missing_fields"]) == ("none", "none")


def test_new_fields_become_columns_by_setting(sync: Sync, warehouse: PostgresResource) -> None:
    karma = {"karma": 5, "tags": ["a", {"bC": 1}], "more": {"isAdmin": True}}
    statement = "SELECT id, karma, tags, more_is_admin FROM raw.users ORDER BY id"
    assert "added_columns" not in metadata(sync([ADA | karma, BOB]))
    seen = metadata(sync([ADA | karma, BOB], new_fields="add"))
    assert seen["added_columns"] == seen["undeclared_fields"] == "karma, more_is_admin, tags"
    ada = (1, "5", '["a", {"bC": 1}]', "true")
    assert query(warehouse, statement) == [ada, (2, None, None, None)]
    # They stay when nobody has them any more.
    assert sync([ADA, BOB]).success
    assert query(warehouse, statement)[1] == (2, None, None, None)


def test_null_in_place_of_a_declared_object_adds_no_column(
    sync: Sync, warehouse: PostgresResource
) -> None:
    seen = metadata(sync([ADA | {"address": None}, BOB], new_fields="add"))
    assert "added_columns" not in seen


def test_new_fields_are_refused_by_setting(sync: Sync, warehouse: PostgresResource) -> None:
    assert sync([ADA, BOB], new_fields="refuse").success
    answer = [ADA | {"name": "New", "karma": 5}, BOB]
    description, _ = failure(sync(answer, new_fields="refuse"), "users_in_postgres")
    assert "'karma' is unknown" in description
    assert [row[1] for row in query(warehouse, MARKS)] == ["Ada", "Bob"]


def test_the_mark_is_not_the_apis_to_set(sync: Sync, warehouse: PostgresResource) -> None:
    fake = BOB | {"missingSince": "2020-01-01"}
    seen = metadata(sync([ADA, fake]))
    assert seen["undeclared_fields"] == "missing_since"
    description, _ = failure(sync([ADA, fake], new_fields="add"), "users_in_postgres")
    assert "record 2, column missing_since: column 'missing_since' is for the load" in description
    assert [row[2] for row in query(warehouse, MARKS)] == [None, None]


def test_values_that_cannot_be_stored_are_rejected_up_to_a_share(
    sync: Sync, warehouse: PostgresResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sync([ADA, BOB, EVE]).success
    changed = [ADA | {"name": "New"}, BOB | {"address": {"geo": {"lat": "north"}}}]
    description, details = failure(sync(changed), "users_in_postgres")
    assert "record 2, column address_geo_lat: " in description
    assert details["value"] == "north"
    assert query(warehouse, MARKS)[0][1] == "Ada"

    monkeypatch.setenv("MAX_REJECTED_SHARE", "0.5")
    seen = metadata(sync(changed))
    # Bob is there, although as bad data: only Eve has vanished.
    assert (seen["rejected"], seen["marked"], seen["updated"]) == (1, 1, 1)
    assert [row[1:] for row in query(warehouse, MARKS)][:2] == [("New", None), ("Bob", None)]
    rejected = query(warehouse, "SELECT line, column_name, value FROM raw.users_rejected")
    assert rejected == [(2, "address_geo_lat", "north")]


def test_two_fields_for_one_column_change_nothing(sync: Sync, warehouse: PostgresResource) -> None:
    assert sync([ADA, BOB]).success
    answer = [ADA | {"name": "New"}, BOB | {"Name": "Robert"}]
    description, details = failure(sync(answer), "users_in_postgres")
    assert "record 2, column name: fields 'name' and 'Name' would both be column" in description
    assert details["record"] == 2
    assert [row[1] for row in query(warehouse, MARKS)] == ["Ada", "Bob"]


def test_no_credentials_in_the_runs_events(
    sync: Sync, httpserver: HTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    url = httpserver.url_for("/?token=t0ken").replace("http://", "http://me:passw0rd@")
    for result in (
        sync([ADA, BOB, EVE], base_url=url),
        sync([], base_url=url),
        sync({"no": "users"}, base_url=url),
    ):
        events = "".join(str(event) for event in result.all_events)
        assert "token=***" in events
        assert "passw0rd" not in events
        assert "t0ken" not in events
    printed = capfd.readouterr().out
    assert "http://***@" in printed
    assert "passw0rd" not in printed


def test_users_without_id_are_not_of_another_type(sync: Sync) -> None:
    assert sync([ADA, BOB, EVE]).success
    description, _ = failure(sync([{"name": "x"}]), "users_in_postgres")
    assert "3 of the 3 users in raw.users are gone" in description

"""Objects within objects into columns, and how they differ from the declared ones."""

from typing import Any

import pytest
from fruit import FRUIT

from postgres_loader.errors import BadInput
from postgres_loader.flattening import (
    MAX_DEPTH,
    Drift,
    FieldError,
    FlatRecords,
    column_name,
    drift,
    flatten,
)


def test_flatten() -> None:
    nested = {"id": 1, "address": {"geo": {"latDeg": "1.5"}}, "catchPhrase": None, "none": {}}
    assert flatten(nested) == {"id": 1, "address_geo_lat_deg": "1.5", "catch_phrase": None}


def test_lists_become_json_text() -> None:
    assert flatten({"tags": ["é", 1, None, {"aB": []}], "none": []}) == {
        "tags": '["é", 1, null, {"aB": []}]',
        "none": "[]",
    }


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("catchPhrase", "catch_phrase"),
        ("catch_phrase", "catch_phrase"),
        ("CatchPhrase", "catch_phrase"),
        ("userID", "user_id"),
        ("HTTPCode", "http_code"),
        ("line2Text", "line2_text"),
        ("e-mail (work)", "e_mail_work_"),
        ("größe", "größe"),
        ("@type", "_type"),
        ("", "_"),
    ],
)
def test_names(field: str, column: str) -> None:
    assert column_name(field) == column


@pytest.mark.parametrize(
    ("record", "first", "second", "column"),
    [
        ({"catchPhrase": 1, "catch_phrase": 2}, "catchPhrase", "catch_phrase", "catch_phrase"),
        ({"geo": {"lat": 1}, "geo_lat": 2}, "geo.lat", "geo_lat", "geo_lat"),
        ({"a": {"b_c": 1}, "a_b": {"c": None}}, "a.b_c", "a_b.c", "a_b_c"),
    ],
)
def test_two_fields_for_one_column_are_both_named(
    record: dict[str, Any], first: str, second: str, column: str
) -> None:
    with pytest.raises(BadInput) as caught:
        list(FlatRecords("http://x", [{"id": 1}, record], FRUIT))
    assert str(caught.value) == (
        f"http://x, record 2, column {column}: fields {first!r} and {second!r} would both be "
        f"column {column!r}"
    )


def test_depth_has_an_end() -> None:
    def nested(levels: int) -> dict[str, Any]:
        return {"x": nested(levels - 1)} if levels else {"leaf": 1}

    assert flatten(nested(MAX_DEPTH)) == {"x_" * MAX_DEPTH + "leaf": 1}
    with pytest.raises(FieldError, match="more than 32 levels deep"):
        flatten(nested(MAX_DEPTH + 1))


def drift_of(*records: dict[str, Any]) -> Drift:
    return drift(FlatRecords("http://x", records, FRUIT), FRUIT)


def test_records_are_flattened_one_by_one_or_in_parts() -> None:
    records = FlatRecords("http://x", [{"aB": number} for number in range(5)], FRUIT)
    assert len(records) == 5
    assert records[1] == {"a_b": 1}
    assert records[-1] == {"a_b": 4}
    assert records[3:9] == [{"a_b": 3}, {"a_b": 4}]
    assert list(records) == [{"a_b": number} for number in range(5)]
    with pytest.raises(IndexError):
        records[5]


def test_no_drift() -> None:
    found = drift_of(dict.fromkeys(FRUIT.column_names), dict.fromkeys(FRUIT.column_names, 1))
    assert found == Drift((), {})


def test_drift_is_what_is_new_and_how_often_something_is_missing() -> None:
    record: dict[str, Any] = dict.fromkeys(FRUIT.column_names, 1)
    without = {name: 1 for name in FRUIT.column_names if name != "weight_g"}
    found = drift_of(record | {"new": None}, without, without | {"newer": 1})
    assert found == Drift(("new", "newer"), {"weight_g": 2})


def test_null_in_place_of_an_object_is_null_for_its_columns() -> None:
    record = {"id": 1, "name": "", "weight_g": 1}
    assert drift_of(record | {"picked": None}) == Drift((), {})
    (flat,) = FlatRecords("http://x", [record | {"picked": None}], FRUIT)
    assert flat == record | {"picked_at": None}
    (flat,) = FlatRecords("http://x", [record | {"picked": None, "picked_at": 1}], FRUIT)
    assert flat == record | {"picked_at": 1}
    assert drift_of(record | {"picked": "today"}) == Drift(("picked",), {"picked_at": 1})

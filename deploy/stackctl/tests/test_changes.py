"""What one release defines that another does not."""

from stackctl.changes import Definitions, changes, count

BEFORE: Definitions = {
    "asset": {"orders": {"group": "a"}, "users": {"group": "a"}},
    "schedule": {"nightly": {"cron": "1", "timezone": "2"}},
    "sensor": {"files": {"interval": "30"}},
}
AFTER: Definitions = {
    "asset": {"orders": {"group": "a"}, "items": {"group": "a"}},
    "schedule": {"nightly": {"cron": "9", "timezone": "2"}},
    "job": {"load": {}},
    "resource": {"warehouse": {}},
}


def test_added_changed_and_removed_are_told_apart() -> None:
    assert [str(change) for change in changes(BEFORE, AFTER)] == [
        "+ asset items",
        "- asset users",
        "~ schedule nightly (cron)",
        "+ job load",
        "+ resource warehouse",
        "- sensor files",
    ]


def test_equal_definitions_have_no_difference() -> None:
    assert changes(AFTER, AFTER) == []


def test_a_field_that_only_one_of_them_has_is_a_difference() -> None:
    [change] = changes({"job": {"load": {}}}, {"job": {"load": {"owners": "x"}}})
    assert change.fields == ("owners",)


def test_resources_alone_are_no_definitions_to_serve() -> None:
    assert count(AFTER) == 4
    assert count({"resource": {"warehouse": {}}}) == 0

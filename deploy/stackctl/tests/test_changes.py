"""What one release defines that another does not."""

from stackctl.changes import Definitions, changes, count, shown
from stackctl.console import listed

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


def test_thousands_of_changes_are_shown_in_few_lines() -> None:
    def release(age: str) -> Definitions:
        assets: dict[str, dict[str, str]] = {f"{age}_{n:04}": {} for n in range(4_990)}
        return {"asset": assets, "job": {"load": {"tags": age}}}

    lines = [line for _, line in shown(changes(release("old"), release("new")))]
    assert lines[:2] == ["+ asset new_0000", "+ asset new_0001"]
    assert lines[10:13] == [
        "+ and 4,980 more assets",
        "~ job load (tags)",
        "- asset old_0000",
    ]
    assert lines[-1] == "- and 4,980 more assets"
    assert len(lines) == 23


def test_few_changes_are_all_shown() -> None:
    assert len(shown(changes(BEFORE, AFTER))) == len(changes(BEFORE, AFTER))


def test_of_many_names_the_first_are_listed() -> None:
    assert listed(["a", "b"], "; ") == "a; b"
    assert listed([f"v{n}" for n in range(1_012)]).endswith("v8, v9 and 1,002 more")

"""What the sensor asks for when files come, change and go."""

from datetime import date, timedelta

import pytest
from arriving import NOON, TODAY, file, look
from shop import CUSTOMERS, ORDERS

from postgres_loader.arrivals import Cursor, CursorError, Plan, Request
from postgres_loader.landing_files import Extent
from postgres_loader.landing_zone import FileInfo


def asked(found: Plan) -> list[tuple[str, list[str]]]:
    return [(r.extent.label, [file.name for file in r.files]) for r in found.requests]


def test_the_first_look_takes_what_is_there_and_the_second_nothing() -> None:
    files = [file("customers.csv"), file("orders.csv"), file("orders_2025-01-31.csv")]
    first = look(Cursor(), *files[:1], files[2])
    assert asked(first) == [
        ("customers", ["customers.csv"]),
        ("orders 2025-01-31", ["orders_2025-01-31.csv"]),
    ]
    assert look(first.cursor, *files[:1], files[2]).requests == []


def test_files_of_one_day_share_a_request_and_a_later_one_asks_again() -> None:
    early = [file("orders_2025-01-31_a.csv"), file("orders_2025-01-31_b.parquet")]
    first = look(Cursor(), *early)
    assert asked(first) == [("orders 2025-01-31", [f.name for f in early])]
    second = look(first.cursor, *early, file("orders_2025-01-31_c.csv"))
    assert asked(second) == [("orders 2025-01-31", ["orders_2025-01-31_c.csv"])]


def test_a_whole_table_includes_its_days_but_not_other_tables() -> None:
    files = [file("customers.csv"), file("orders_2025-01-31.csv"), file("orders.csv")]
    found = look(Cursor(), *files)
    assert sorted(asked(found)) == [
        ("customers", ["customers.csv"]),
        ("orders", ["orders_2025-01-31.csv", "orders.csv"]),
    ]
    assert look(found.cursor, *files).requests == []


def test_two_files_of_one_table_are_one_request_that_can_fail_in_words() -> None:
    found = look(Cursor(), file("customers.csv"), file("customers.parquet"))
    assert asked(found) == [("customers", ["customers.csv", "customers.parquet"])]


def test_a_late_arrival_with_an_old_time_is_seen() -> None:
    first = look(Cursor(), file("orders_2025-01-31.csv"))
    late = file("orders_2025-01-30.csv", modified=NOON - timedelta(days=400))
    second = look(first.cursor, file("orders_2025-01-31.csv"), late)
    assert asked(second) == [("orders 2025-01-30", ["orders_2025-01-30.csv"])]


def test_a_replaced_file_and_one_that_was_deleted_and_put_again_are_seen() -> None:
    first = look(Cursor(), file("customers.csv", "1"))
    second = look(first.cursor, file("customers.csv", "2"))
    gone = look(second.cursor)
    assert (len(second.requests), gone.requests, gone.cursor) == (1, [], Cursor())
    assert len(look(gone.cursor, file("customers.csv", "3")).requests) == 1


def test_a_file_that_grows_is_taken_when_it_has_stopped() -> None:
    cursor = Cursor()
    for version in ("1", "2", "3"):
        found = look(cursor, file("customers.csv", version), whole=False)
        assert (found.requests, found.growing) == ([], ["customers.csv"])
        cursor = found.cursor
    settled = look(cursor, file("customers.csv", "3"), whole=False)
    assert asked(settled) == [("customers", ["customers.csv"])]
    assert settled.growing == []
    assert look(settled.cursor, file("customers.csv", "3"), whole=False).requests == []


def test_files_of_no_table_are_told_once() -> None:
    strange = [file("readme.txt"), file("orders_2024-12-31.csv"), file("bad\udc80name")]
    first = look(Cursor(), *strange)
    assert (first.requests, first.unknown) == ([], [f.name for f in strange])
    again = [file(f.name, "2") for f in strange]
    assert look(first.cursor, *again).unknown == []


def test_a_day_that_has_not_come_waits_for_it() -> None:
    tomorrow = file("orders_2025-06-02.csv")
    first = look(Cursor(), tomorrow)
    assert (first.requests, first.early) == ([], ["orders_2025-06-02.csv"])
    second = look(first.cursor, tomorrow, today=TODAY + timedelta(days=1))
    assert asked(second) == [("orders 2025-06-02", ["orders_2025-06-02.csv"])]


@pytest.mark.parametrize("whole", [True, False])
def test_requests_are_capped_and_the_longest_waiting_go_first(whole: bool) -> None:
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(25)]
    files = [
        file(f"orders_{day}.csv", modified=NOON - timedelta(hours=n)) for n, day in enumerate(days)
    ]
    cursor, taken = Cursor(), []
    if not whole:
        cursor = look(cursor, *files, whole=whole).cursor
    for expected in (10, 10, 5, 0):
        found = look(cursor, *files, whole=whole, limit=10)
        assert len(found.requests) == expected
        assert len(found.postponed) == 25 - len(taken) - expected
        taken += [request.extent.day for request in found.requests]
        cursor = found.cursor
    assert taken == days[::-1]


def test_run_keys_are_the_same_for_the_same_versions_only() -> None:
    def key(*files: FileInfo, extent: Extent | None = None) -> str:
        return Request(extent or Extent(ORDERS, TODAY), files).run_key

    a, b = file("a", "1"), file("b", "1")
    assert key(file("orders.csv", "7"), extent=Extent(ORDERS, None)) == "orders: orders.csv@7"
    assert key(a, b) == key(b, a)
    different = [
        key(a),
        key(b),
        key(a, b),
        key(a, file("b", "2")),
        key(a, b, file("c")),
        key(a, extent=Extent(CUSTOMERS, None)),
        key(a, extent=Extent(ORDERS, TODAY + timedelta(days=1))),
    ]
    assert len(set(different)) == len(different)
    assert key(a, b).startswith("orders 2025-06-01: 2 files@")


def test_ten_thousand_files() -> None:
    first_day = date(2025, 1, 1)
    files = [
        file(f"orders_{first_day + timedelta(days=n % 100)}_{n}.csv.gz", str(n))
        for n in range(10_000)
    ]
    first = look(Cursor(), *files)
    assert len(first.requests) == 100
    assert sum(len(request.files) for request in first.requests) == len(files)
    assert len(first.cursor.dump()) < 11 * len(files)
    assert look(first.cursor, *files[::-1]).requests == []
    changed = [*files[:5000], file(files[5000].name, "other"), *files[5001:]]
    second = look(first.cursor, *changed)
    assert [request.files for request in second.requests] == [(changed[5000],)]


@pytest.mark.parametrize("text", [None, ""])
def test_no_cursor_is_an_empty_one(text: str | None) -> None:
    assert Cursor.parse(text) == Cursor()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2025-01-01", "not what this sensor writes"),
        ("{}", "KeyError"),
        ("[]", "TypeError"),
        ('{"format": 2, "done": "", "seen": ""}', "it has format 2, not 1"),
        ('{"format": 1, "done": null, "seen": ""}', "not what this sensor writes"),
        ('{"format": 1, "done": "00000", "seen": ""}', "4 bytes are not a whole number of marks"),
        ('{"format": 1, "done": "é", "seen": ""}', "not what this sensor writes"),
        ('{"format": 1, "done": "~~~~~", "seen": ""}', "not what this sensor writes"),
    ],
)
def test_other_cursors_are_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(CursorError, match=reason):
        Cursor.parse(text)

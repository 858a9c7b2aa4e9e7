"""What the sensor asks for, in every order in which files may come and go."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from elt.arrivals import Cursor, CursorError, Plan, Request, plan
from elt.landing_files import Place
from elt.landing_zone import FileInfo
from elt.tables import CUSTOMERS, ORDERS

TODAY = date(2025, 6, 1)
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def file(name: str, version: str = "1", modified: datetime = NOON) -> FileInfo:
    return FileInfo(name, 10, version, modified)


def look(
    cursor: Cursor, *files: FileInfo, whole: bool = True, today: date = TODAY, limit: int = 100
) -> Plan:
    """A look at the landing zone; what it leaves as cursor has been through its text form."""
    found = plan(cursor, files, files_are_whole=whole, last_day=today, limit=limit)
    assert Cursor.parse(found.cursor.dump()) == found.cursor
    return found


def asked(found: Plan) -> list[tuple[str, list[str]]]:
    return [(r.place.label, [file.name for file in r.files]) for r in found.requests]


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
        taken += [request.place.day for request in found.requests]
        cursor = found.cursor
    assert taken == days[::-1]


def test_run_keys_are_the_same_for_the_same_versions_only() -> None:
    def key(*files: FileInfo, place: Place | None = None) -> str:
        return Request(place or Place(ORDERS, TODAY), files).run_key

    a, b = file("a", "1"), file("b", "1")
    assert key(file("orders.csv", "7"), place=Place(ORDERS, None)) == "orders: orders.csv@7"
    assert key(a, b) == key(b, a)
    different = [
        key(a),
        key(b),
        key(a, b),
        key(a, file("b", "2")),
        key(a, b, file("c")),
        key(a, place=Place(CUSTOMERS, None)),
        key(a, place=Place(ORDERS, TODAY + timedelta(days=1))),
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
        ('{"format": 1, "done": "00000", "seen": ""}', "4 bytes are no whole number of marks"),
        ('{"format": 1, "done": "é", "seen": ""}', "not what this sensor writes"),
        ('{"format": 1, "done": "~~~~~", "seen": ""}', "not what this sensor writes"),
    ],
)
def test_other_cursors_are_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(CursorError, match=reason):
        Cursor.parse(text)


NAMES = [
    "customers.csv",
    "customers.parquet",
    "orders.csv",
    "orders_2025-05-30.csv",
    "orders_2025-05-31.csv",
    "orders_2025-05-31_b.csv",
    "orders_2025-06-01.csv",
    "orders_2025-06-02.csv",
    "readme.txt",
]


class LandingZoneOverTime(RuleBasedStateMachine):
    """Files come, change and go, looks are taken and lost, and days pass, in any order.

    The model of the daemon: a request whose run key has been submitted before starts no run, and
    a lost tick submits some of its requests without saving the cursor. Deeds are counted by
    version, which no two writes share.
    """

    whole = True

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, FileInfo] = {}
        self.text: str | None = None
        self.today = TODAY
        self.writes = 0
        self.run_keys: set[str] = set()
        self.runs_by_version: dict[tuple[str, str], int] = {}
        self.looked_at: dict[str, str] = {}
        self.was_lost = False

    @rule(name=st.sampled_from(NAMES), old=st.booleans())
    def put(self, name: str, old: bool) -> None:
        self.writes += 1
        modified = NOON - timedelta(days=self.writes) if old else NOON
        self.files[name] = FileInfo(name, 10, f"v{self.writes}", modified)

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        del self.files[data.draw(st.sampled_from(sorted(self.files)))]

    @rule()
    def day_passes(self) -> None:
        self.today += timedelta(days=1)

    @rule(limit=st.integers(1, 4), saved=st.booleans(), data=st.data())
    def tick(self, limit: int, saved: bool, data: st.DataObject) -> None:
        found = self._look(limit)
        for request in found.requests:
            for each in request.files:
                # Nothing is taken that may still be written.
                assert self.whole or self.looked_at.get(each.name) == each.version
        if saved:
            self._submit(found)
            self.text = found.cursor.dump()
            self.looked_at = {name: each.version for name, each in self.files.items()}
        else:
            self.was_lost = True
            count = data.draw(st.integers(0, len(found.requests)))
            self._submit(Plan(requests=found.requests[:count]))

    @rule(text=st.sampled_from([None, "garbage", '{"format": 99}']))
    def cursor_is_lost(self, text: str | None) -> None:
        self.text, self.looked_at, self.was_lost = text, {}, True

    @invariant()
    def no_version_is_loaded_twice(self) -> None:
        # After a tick without its cursor, versions may come again in other company.
        if not self.was_lost:
            assert all(count == 1 for count in self.runs_by_version.values())

    @invariant()
    def the_cursor_does_not_grow(self) -> None:
        assert len(self.text or "") < 200 + 10 * len(NAMES) * 2

    def teardown(self) -> None:
        """Once files stay as they are, a few looks are enough for all of them."""
        self.today = max(self.today, date(2025, 6, 2))
        for _ in range(len(NAMES) + 2):
            found = self._look(2)
            self._submit(found)
            self.text = found.cursor.dump()
        assert self._look(2).requests == []
        wanted = {(f.name, f.version) for f in self.files.values() if f.name != "readme.txt"}
        assert wanted <= set(self.runs_by_version)

    def _look(self, limit: int) -> Plan:
        try:
            cursor = Cursor.parse(self.text)
        except CursorError:
            cursor = Cursor()
        return look(
            cursor,
            *self.files.values(),
            whole=self.whole,
            today=self.today,
            limit=limit,
        )

    def _submit(self, found: Plan) -> None:
        for request in found.requests:
            if request.run_key in self.run_keys:
                continue
            self.run_keys.add(request.run_key)
            for each in request.files:
                version = (each.name, each.version)
                self.runs_by_version[version] = self.runs_by_version.get(version, 0) + 1


class FolderOverTime(LandingZoneOverTime):
    """The same where files are listed while they are written."""

    whole = False


TestWholeFiles = LandingZoneOverTime.TestCase
TestGrowingFiles = FolderOverTime.TestCase
TestWholeFiles.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestGrowingFiles.settings = TestWholeFiles.settings

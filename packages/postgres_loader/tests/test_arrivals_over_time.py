"""What the sensor asks for, in any order in which files may come and go."""

from datetime import date, timedelta

from arriving import NOON, TODAY, look
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from postgres_loader.arrivals import Cursor, CursorError, Plan
from postgres_loader.landing_zone import FileInfo

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

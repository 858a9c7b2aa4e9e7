"""Signs of life of a long load; a short one has none."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fruit import FRUIT, HEADER, OLD, OLD_ROWS, query, rows
from location_kit.postgres import PostgresResource
from order_files import order, write
from shop import orders_table

from postgres_loader import LandingZoneResource, progress
from postgres_loader.loading import load
from postgres_loader.progress import Phase, Progress, Reading, Talk
from postgres_loader.sources import CsvSource

AT_ONCE = 0.001


class Heard:
    """A log that lets wait for a line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def wait_for(self, beginning: str) -> str:
        """The first line that begins so, once there is one."""
        with self._more:
            assert self._more.wait_for(lambda: self._found(beginning), 30), self.lines
        return self._found(beginning)[0]

    def _found(self, beginning: str) -> list[str]:
        return [line for line in self.lines if line.startswith(beginning)]


def source(content: io.BufferedIOBase, size: int | None = None) -> Callable[[], Any]:
    @contextlib.contextmanager
    def open_source() -> Iterator[CsvSource]:
        source = CsvSource("file:///there/fruit.csv", content, FRUIT)
        source.size = size
        yield source

    return open_source


def test_a_short_load_says_nothing() -> None:
    talk = Talk(10, now=100)
    assert talk.wait_s(100) == 10
    assert talk.begin(Phase("reading"), 100) is None
    assert talk.begin(Phase("merging"), 106) is None
    assert talk.wait_s(106) == 4
    assert talk.end("loaded", 109) is None


def test_a_long_load_says_a_line_each_period_and_one_for_each_long_phase() -> None:
    done = 0
    talk = Talk(10, now=0)
    talk.begin(Phase("waiting"), 0)
    talk.begin(Reading("fruit.csv", 1_200_000_000, lambda: done, "rows are stored"), 2)
    done = 400_000_000
    assert talk.go_on(10) == "reading fruit.csv: 33% of 1.2 GB, 50 MB/s"
    assert talk.wait_s(11) == 9
    done = 700_000_000
    assert talk.go_on(20) == "reading fruit.csv: 58% of 1.2 GB, 30 MB/s"
    done = 1_200_000_000
    assert talk.go_on(30) == "fruit.csv: all 1.2 GB are read, rows are stored, for 28 s"
    assert talk.begin(Phase("merging 3 rows"), 33) == "merging 3 rows"
    assert talk.go_on(43) == "merging 3 rows, for 10 s"
    # A phase after a short one waits for its turn.
    assert talk.begin(Phase("comparing"), 44) == "comparing"
    assert talk.begin(Phase("more"), 45) is None
    assert talk.end("3 rows are loaded", 47) == "3 rows are loaded"
    assert talk.go_on(57) is None
    assert talk.end("another load", 50) is None


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 bytes"), (999, "999 bytes"), (999_600, "1 MB"), (2.5e13, "25 TB")]
)
def test_sizes(size: float, said: str) -> None:
    reading = Reading("f", None, lambda: int(size), "")
    assert reading.line(1, 1) == f"reading f: {said}, {said}/s"


def test_a_load_says_how_far_it_is_while_it_reads_and_merges(warehouse: PostgresResource) -> None:
    """Each phase goes on until there is a line about it."""
    log = Heard()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            chunk = super().read(40)
            if not chunk:
                log.wait_for("reading fruit.csv: ")
            return chunk

    with warehouse.get_connection() as connection:
        load(connection, "raw", FRUIT, source(io.BytesIO(OLD)), missing="delete")
        assert log.lines == []
        query(
            warehouse,
            """
            CREATE FUNCTION raw.wait() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END';
            CREATE TRIGGER wait AFTER UPDATE ON raw.fruit
                FOR EACH STATEMENT EXECUTE FUNCTION raw.wait();
            SELECT 1
            """,
        )
        with warehouse.get_connection() as holder, holder.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(42)")

            def release() -> None:
                log.wait_for("merging 2 rows into raw.fruit, for ")
                holder.rollback()

            releasing = threading.Thread(target=release)
            releasing.start()
            # Twice the size, so that there is a share when all is read.
            slow = source(Slow(OLD.replace(b"fig", b"nut")), 2 * len(OLD))
            with Progress(log, period_s=AT_ONCE) as said:
                load(connection, "raw", FRUIT, slow, missing="delete", progress=said)
            releasing.join()
    assert log.wait_for("reading fruit.csv: ").endswith("/s")
    assert any("50% of " in line for line in log.lines), log.lines


def test_the_second_reading_is_called_one(warehouse: PostgresResource) -> None:
    log = Heard()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return (
                super().read(size) or (log.wait_for("reading fruit.csv again, row by row"), b"")[1]
            )

    content = [io.BytesIO(HEADER + b"1,a,x,\n2,b,2,\n"), Slow(HEADER + b"1,a,x,\n2,b,2,\n")]

    def open_source() -> Any:
        return source(content.pop(0))()

    with warehouse.get_connection() as connection, Progress(log, period_s=AT_ONCE) as said:
        options: Any = {"missing": "keep", "max_rejected_share": 1, "progress": said}
        load(connection, "raw", FRUIT, open_source, **options)


class Refuses:
    """A log that always raises."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.over = threading.Event()

    def __call__(self, line: str) -> None:
        self.asked.set()
        raise RuntimeError("no log today")


class Hangs(Refuses):
    """A log that does not return while the load goes on."""

    def __call__(self, line: str) -> None:
        self.asked.set()
        self.over.wait()


@pytest.mark.parametrize("kind", [Refuses, Hangs])
def test_a_log_that_fails_ends_no_load(
    warehouse: PostgresResource, monkeypatch: pytest.MonkeyPatch, kind: type[Refuses]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE_S", 0.01)
    log = kind()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert log.asked.wait(30)
            return super().read(size)

    with warehouse.get_connection() as connection, Progress(log, period_s=AT_ONCE) as said:
        said.doing("waiting")
        load(connection, "raw", FRUIT, source(Slow(OLD)), missing="delete", progress=said)
    assert rows(warehouse) == OLD_ROWS
    log.over.set()


def test_the_thread_ends_with_the_load() -> None:
    log = Heard()
    with pytest.raises(ZeroDivisionError), Progress(log, period_s=AT_ONCE) as said:
        said.doing("waiting")
        log.wait_for("waiting")
        raise ZeroDivisionError
    assert not said._thread.is_alive()


@pytest.mark.parametrize("long", [True, False])
def test_lines_are_events_of_the_run(
    tmp_path: Path, warehouse: PostgresResource, monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    if long:
        monkeypatch.setattr(progress, "PERIOD_S", AT_ONCE)
    write(tmp_path / "orders.csv", *(order(n, "2025-01-01") for n in range(3)))
    zone = LandingZoneResource(uri=tmp_path.as_uri())
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"landing_zone": zone, "postgres": warehouse}
        run = dg.materialize([orders_table], instance=instance, resources=resources)
        messages = [entry.user_message for entry in instance.all_logs(run.run_id)]
    told = [line for line in messages if line.startswith(("reading orders.csv", "raw.orders: "))]
    loaded = "raw.orders: 3 rows are loaded: 3 new, 0 changed; 0 are deleted"
    assert told[-1:] == ([loaded] if long else [])
    assert bool(told) is long

"""A file of a folder that is still being written is waited for, and not for ever."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from location_kit.postgres import PostgresResource
from order_files import HEADER, failure, load_asset, order, stored, write
from shop import orders_table

from postgres_loader import settling
from postgres_loader.landing_zone import FileInfo, FolderLandingZone
from postgres_loader.settling import still_growing


class Watched(FolderLandingZone):
    """A landing zone in which something happens at each look."""

    def __init__(self, folder: Path, happenings: Iterator[None]) -> None:
        super().__init__(folder)
        self._happenings = happenings
        self.looks = 0

    def files(self):
        self.looks += 1
        next(self._happenings, None)
        return super().files()


def at_each_look(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen whenever a folder is listed."""
    files = FolderLandingZone.files

    def look(zone: FolderLandingZone) -> list[FileInfo]:
        happens()
        return files(zone)

    monkeypatch.setattr(FolderLandingZone, "files", look)


def append(file: Path, line: str) -> None:
    with file.open("a") as stream:
        stream.write(f"{line}\n")


def grow(file: Path, times: int) -> Iterator[None]:
    for _ in range(times):
        with file.open("a") as stream:
            stream.write("more\n")
        yield


def test_a_file_that_grows_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    zone = Watched(tmp_path, grow(file, 3))
    assert still_growing(zone, {"orders.csv"}) == set()
    # Three that found it changed, and one that did not.
    assert zone.looks == 4
    assert file.read_text() == "more\n" * 3


def test_it_is_not_waited_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "DEADLINE_S", 0.05)
    zone = Watched(tmp_path, grow(tmp_path / "orders.csv", 10_000))
    (tmp_path / "orders_2025-01-01.csv").write_text("x")
    assert still_growing(zone, {"orders.csv", "orders_2025-01-01.csv"}) == {"orders.csv"}


def test_an_old_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").touch()
    os.utime(tmp_path / "orders.csv", (1, 1))
    zone = Watched(tmp_path, iter(()))
    assert still_growing(zone, {"orders.csv"}) == set()
    assert zone.looks == 1


def test_where_files_are_whole_nobody_looks(tmp_path: Path) -> None:
    zone = Watched(tmp_path, iter(()))
    zone.files_are_whole = True
    assert still_growing(zone, {"orders.csv"}) == set()
    assert zone.looks == 0


def test_a_run_loads_what_is_written_to_its_end(
    tmp_path: Path, warehouse: PostgresResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "orders.csv"
    write(file, order(1, "2025-01-01T00:00:00Z"))
    numbers = iter(range(2, 12))

    def write_another() -> None:
        for number in itertools.islice(numbers, 1):
            append(file, order(number, "2025-01-01T00:00:00Z"))

    at_each_look(monkeypatch, write_another)
    assert load_asset(orders_table, tmp_path, warehouse).success
    assert len(stored(warehouse)) == 11


def test_a_file_that_goes_on_growing_keeps_no_other_from_being_loaded(
    tmp_path: Path, warehouse: PostgresResource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "DEADLINE_S", 0.05)
    write(tmp_path / "orders.csv", order(1, "2025-01-01T00:00:00Z"))
    file = tmp_path / "orders_2025-01-02.csv"
    file.write_text(HEADER + "\n")
    at_each_look(monkeypatch, lambda: append(file, order(2, "2025-01-02T00:00:00Z")))
    said = failure(load_asset(orders_table, tmp_path, warehouse))
    assert f"{file.name}: it is still being written" in said
    assert stored(warehouse) == {1: 100}

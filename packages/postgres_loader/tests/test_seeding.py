"""Sample files are put once: all of them, and none that somebody has removed."""

from pathlib import Path

import pytest

from postgres_loader.errors import LandingZoneUnavailable
from postgres_loader.landing_zone import FolderLandingZone
from postgres_loader.seeding import seed

NAMES = ["customers.csv", "orders.csv", "products.csv"]


class Breaking(FolderLandingZone):
    """A landing zone whose store goes away in the middle of a file, or right after it."""

    def __init__(self, folder: Path, at: str, *, whole: bool) -> None:
        super().__init__(folder)
        self._at, self._whole = at, whole

    def put(self, name: str, content: Path) -> None:
        if name == self._at and not self._whole:
            raise LandingZoneUnavailable("away")
        super().put(name, content)
        if name == self._at:
            raise LandingZoneUnavailable("away")


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    folder = tmp_path / "samples"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "landing"


def test_an_empty_landing_zone_is_filled_once(folder: Path, samples: Path) -> None:
    zone = FolderLandingZone(folder)
    assert "was empty; added customers.csv, orders.csv, products.csv" in seed(zone, samples)
    assert zone.names() == NAMES
    assert {path.name for path in folder.iterdir()} == {*NAMES, ".sample_files"}
    for name in NAMES:
        assert (folder / name).read_bytes() == (samples / name).read_bytes()
    for name in NAMES[::-1]:
        (folder / name).unlink()
        # Also when the last one has gone: files that are loaded are moved away.
        assert "nothing added" in seed(zone, samples)
    assert zone.names() == []


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("at", NAMES)
def test_what_was_interrupted_is_completed(
    folder: Path, samples: Path, at: str, whole: bool
) -> None:
    with pytest.raises(LandingZoneUnavailable):
        seed(Breaking(folder, at, whole=whole), samples)
    zone = FolderLandingZone(folder)
    assert f"had a part of its sample data; added {at}" in seed(zone, samples)
    assert zone.names() == NAMES
    assert "nothing added" in seed(zone, samples)


def test_a_sample_that_was_removed_before_the_completion_stays_away(
    folder: Path, samples: Path
) -> None:
    with pytest.raises(LandingZoneUnavailable):
        seed(Breaking(folder, "products.csv", whole=False), samples)
    (folder / "orders.csv").unlink()
    zone = FolderLandingZone(folder)
    seed(zone, samples)
    assert zone.names() == ["customers.csv", "products.csv"]


def test_files_of_others_are_left_alone(folder: Path, samples: Path) -> None:
    folder.mkdir()
    (folder / "orders.parquet").write_text("mine")
    zone = FolderLandingZone(folder)
    assert "has 1 files; no sample data added" in seed(zone, samples)
    (folder / "orders.parquet").unlink()
    with pytest.raises(LandingZoneUnavailable):
        seed(Breaking(folder, "orders.csv", whole=False), samples)
    (folder / "orders.parquet").write_text("mine")
    (folder / "customers.csv").write_text("mine")
    assert "has 2 files; no sample data added" in seed(zone, samples)
    assert (folder / "customers.csv").read_text() == "mine"

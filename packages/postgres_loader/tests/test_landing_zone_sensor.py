"""The sensor on a real folder, tick by tick, as the daemon has it evaluated."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from shop import DEFINITIONS

from postgres_loader import LandingZoneResource
from postgres_loader import sensor as sensor_module
from postgres_loader.errors import LandingZoneError, LandingZoneUnavailable

Tick = Callable[[], SensorExecutionData]


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def state() -> dict[str, str | None]:
    """The cursor, as the instance keeps it from tick to tick."""
    return {"cursor": None}


@pytest.fixture
def tick(landing: Path, state: dict[str, str | None]) -> Iterator[Tick]:
    repository = DEFINITIONS.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def evaluate() -> SensorExecutionData:
            context = dg.build_sensor_context(
                instance=instance,
                repository_def=repository,
                cursor=state["cursor"],
                resources={"landing_zone": LandingZoneResource(uri=landing.as_uri())},
            )
            data = repository.get_sensor_def("landing_zone_sensor").evaluate_tick(context)
            state["cursor"] = data.cursor
            return data

        yield evaluate


def requested(data: SensorExecutionData) -> list[tuple[str, str | None]]:
    """Asset and partition of each request."""
    return [
        (request.asset_selection[0].to_user_string(), request.partition_key)
        for request in data.run_requests or []
        if request.asset_selection
    ]


def test_without_a_landing_zone_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `dg dev` serves a location without the stack's environment."""
    monkeypatch.delenv("LANDING_ZONE", raising=False)
    nowhere = LandingZoneResource.from_environment()
    with pytest.raises(LandingZoneError, match="LANDING_ZONE is not set; it must be file:///"):
        nowhere.open()
    repository = DEFINITIONS.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance, repository_def=repository, resources={"landing_zone": nowhere}
        )
        data = repository.get_sensor_def("landing_zone_sensor").evaluate_tick(context)
    assert data.skip_message == "LANDING_ZONE is not set, so there is no landing zone to look at"
    monkeypatch.setenv("LANDING_ZONE", "s3://x")
    assert isinstance(LandingZoneResource.from_environment().uri, dg.EnvVar)


def test_files_are_loaded_once_they_are_settled(landing: Path, tick: Tick) -> None:
    for name in ("customers.csv", "orders_2025-01-31.csv", "orders_2025-01-31_b.csv"):
        (landing / name).write_text("x")
    first = tick()
    assert requested(first) == []
    assert "3 perhaps still being written" in str(first.skip_message)
    second = tick()
    assert requested(second) == [("customers_table", None), ("orders_table", "2025-01-31")]
    shown = [request.tags["landing_zone/files"] for request in second.run_requests or []]
    assert shown == ["customers.csv", "orders_2025-01-31.csv, orders_2025-01-31_b.csv"]
    third = tick()
    assert requested(third) == []
    assert third.skip_message == f"nothing new in {landing.as_uri()}"
    assert third.cursor == second.cursor


def test_what_looks_the_same_and_was_replaced_is_loaded_again(landing: Path, tick: Tick) -> None:
    file = landing / "customers.csv"
    file.write_text("old")
    os.utime(file, ns=(1, 1))
    assert requested(tick()) + requested(tick()) == [("customers_table", None)]
    file.write_text("new")
    os.utime(file, ns=(1, 1))
    assert requested(tick()) + requested(tick()) == [("customers_table", None)]
    copy = landing / ".customers.csv.unfinished"
    copy.write_text("new")
    os.utime(copy, ns=(1, 1))
    copy.replace(file)
    assert requested(tick()) + requested(tick()) == [("customers_table", None)]
    assert requested(tick()) == []


def test_files_of_no_table_are_told_once(landing: Path, tick: Tick) -> None:
    for name in ("readme.txt", "orders_2024-12-31.csv", os.fsdecode(b"\xff.csv")):
        (landing / name).touch()
    said = str(tick().skip_message)
    assert "3 of no table, and left alone: orders_2024-12-31.csv, readme.txt, '\\udcff.csv'" in said
    assert "left alone" not in str(tick().skip_message)


def test_a_day_to_come_is_left_for_later(landing: Path, tick: Tick) -> None:
    (landing / "orders_9998-01-01.csv").touch()
    tick()
    assert "1 of a day that has not come" in str(tick().skip_message)


def test_requests_beyond_the_limit_follow(
    landing: Path, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor_module, "REQUESTS_PER_TICK", 2)
    for day in range(1, 6):
        (landing / f"orders_2025-01-0{day}.csv").touch()
    found = [requested(tick()) for _ in range(5)]
    assert [len(requests) for requests in found] == [0, 2, 2, 1, 0]
    assert len({partition for requests in found for _, partition in requests}) == 5


def test_a_landing_zone_that_is_absent_fails_the_tick_in_words(
    landing: Path, tick: Tick, state: dict[str, str | None]
) -> None:
    (landing / "customers.csv").touch()
    tick()
    before = state["cursor"]
    landing.rename(landing.with_name("away"))
    with pytest.raises(LandingZoneUnavailable) as caught:
        tick()
    assert str(caught.value) == f"{landing.as_uri()} is not a folder that exists"
    assert state["cursor"] == before
    landing.with_name("away").rename(landing)
    assert requested(tick()) == [("customers_table", None)]


def test_an_unreadable_cursor_loses_nothing_and_loads_nothing_twice(
    landing: Path, tick: Tick, state: dict[str, str | None]
) -> None:
    (landing / "customers.csv").touch()
    tick()
    (before,) = tick().run_requests or []
    state["cursor"] = "2025-01-01"
    tick()
    (after,) = tick().run_requests or []
    # The daemon starts no second run for a key that it has seen.
    assert after.run_key == before.run_key

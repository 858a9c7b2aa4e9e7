"""Limits by tags: read, refused, capped, written."""

from __future__ import annotations

from typing import Any

import pytest

from compose_run_launcher.limits import (
    BadLimit,
    apply,
    changes,
    limits,
    parse_cpus,
    parse_memory,
    parse_seconds,
)

GIB = 2**30


def service(**labels: str) -> dict[str, Any]:
    """A service of 1 GiB and one CPU."""
    names = {f"compose_run_launcher.{name}": value for name, value in labels.items()}
    return {
        "HostConfig": {"Memory": GIB, "NanoCpus": 10**9, "MemorySwap": 2 * GIB},
        "Config": {"Labels": names},
    }


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 * 2**20),
        ("2g", 2 * GIB),
        ("2GB", 2 * GIB),
        ("1.5g", 1610612736),
        ("7340032", 7340032),
        ("7340032b", 7340032),
        (" 8192K ", 8 * 2**20),
        # The least that Docker takes.
        ("6m", 6 * 2**20),
    ],
)
def test_memory(text: str, size: int) -> None:
    assert parse_memory("tag", text) == size


@pytest.mark.parametrize(
    "text", ["", "2x", "-1g", "g", "1m", "6291455", "0", "1 g", "1e9", "\u0663g"]
)
def test_no_memory(text: str) -> None:
    with pytest.raises(BadLimit, match=r"tag docker/memory.*512m or 2g"):
        limits({"docker/memory": text}, service())


@pytest.mark.parametrize(
    ("text", "nano"), [("1.5", 1_500_000_000), ("2", 2_000_000_000), ("0.01", 10_000_000)]
)
def test_cpus(text: str, nano: int) -> None:
    assert parse_cpus("tag", text) == nano


@pytest.mark.parametrize("text", ["", "0", "-1", "all", "1,5", "0.0099", "nan", "inf"])
def test_no_cpus(text: str) -> None:
    with pytest.raises(BadLimit, match=r"tag docker/cpus.*such as 1\.5"):
        limits({"docker/cpus": text}, service())


def test_without_tags_the_services_own() -> None:
    granted = limits({}, service())
    assert (granted.memory, granted.nano_cpus, granted.capped) == (GIB, 10**9, ())


def test_less_than_the_service_is_granted() -> None:
    granted = limits({"docker/memory": "512m", "docker/cpus": "0.5"}, service())
    assert (granted.memory, granted.nano_cpus, granted.capped) == (GIB // 2, 5 * 10**8, ())


def test_more_than_the_service_needs_a_ceiling_that_says_so() -> None:
    granted = limits({"docker/memory": "2g"}, service())
    assert granted.memory == GIB
    assert "docker/memory asked for 2g" in granted.describe()
    granted = limits({"docker/memory": "2g"}, service(max_memory="4g"))
    assert (granted.memory, granted.capped) == (2 * GIB, ())
    granted = limits({"docker/memory": "8g"}, service(max_memory="4g"))
    assert granted.memory == 4 * GIB


def test_as_much_as_is_allowed_is_not_capped() -> None:
    granted = limits({"docker/memory": "1g", "docker/cpus": "1"}, service(max_memory="1024m"))
    assert (granted.memory, granted.nano_cpus, granted.capped) == (GIB, 10**9, ())


def test_a_service_without_limits_grants_what_is_asked_for() -> None:
    unlimited = {"HostConfig": {"Memory": 0, "NanoCpus": 0}, "Config": {"Labels": None}}
    granted = limits({"docker/memory": "8g", "docker/cpus": "3"}, unlimited)
    assert (granted.memory, granted.nano_cpus) == (8 * GIB, 3 * 10**9)
    assert limits({}, unlimited).describe() == "memory no limit, CPUs no limit"


def test_a_label_that_is_no_limit_is_named() -> None:
    with pytest.raises(BadLimit, match=r"label compose_run_launcher\.max_memory: 'much'"):
        limits({"docker/memory": "1g"}, service(max_memory="much"))


def test_limits_are_written_with_what_hangs_on_them() -> None:
    host = dict(service()["HostConfig"])
    apply(host, limits({"docker/memory": "512m"}, service()))
    assert host["Memory"] == GIB // 2
    assert "MemorySwap" not in host
    assert host["NanoCpus"] == 10**9
    # Half of a server's weight, and the first to go.
    assert (host["CpuShares"], host["OomScoreAdj"]) == (512, 500)


def test_cpus_are_written_whatever_the_service_has() -> None:
    for own in ({"NanoCpus": 10**9}, {}):
        host = {"Memory": GIB, "MemorySwap": 2 * GIB, **own}
        apply(host, limits({"docker/cpus": "0.5"}, service()))
        assert host["NanoCpus"] == 5 * 10**8


def test_what_a_service_does_not_limit_is_left_out() -> None:
    unlimited = {"HostConfig": {}, "Config": {"Labels": None}}
    host: dict[str, Any] = {}
    apply(host, limits({}, unlimited))
    assert host.keys() == {"CpuShares", "OomScoreAdj"}


def test_unchanged_limits_keep_the_services_swap() -> None:
    host = dict(service()["HostConfig"])
    apply(host, limits({}, service()))
    assert host["MemorySwap"] == 2 * GIB


def test_a_standby_worker_is_changed_to_what_a_new_container_would_have() -> None:
    granted = limits({"docker/memory": "512m", "docker/cpus": "0.5"}, service())
    assert changes(granted) == {
        "Memory": GIB // 2,
        "MemorySwap": GIB,
        "NanoCpus": 500_000_000,
        "CpuShares": 512,
    }


def test_no_memory_limit_is_no_change() -> None:
    assert "Memory" not in changes(limits({}, {"HostConfig": {}, "Config": {"Labels": {}}}))


def test_a_timeout_is_shown_and_given_to_dagster() -> None:
    granted = limits({"dagster/max_runtime": "90"}, service())
    assert granted.describe() == "memory 1024 MiB, CPUs 1, timeout 90 s"
    assert granted.tags() == {"dagster/max_runtime": "90"}


def test_a_timeout_is_capped_by_the_location() -> None:
    granted = limits({"dagster/max_runtime": "90"}, service(max_runtime="60"))
    assert granted.timeout_s == 60
    assert "dagster/max_runtime asked for 90" in granted.describe()


def test_the_shortest_timeout() -> None:
    assert limits({"dagster/max_runtime": "1"}, service()).timeout_s == 1


def test_a_locations_timeout_is_its_runs_default() -> None:
    assert limits({}, service(max_runtime="60")).timeout_s == 60
    assert limits({}, service()).tags() == {}


@pytest.mark.parametrize("text", ["", "1h", "0", "-5", "1.5", "\u0663"])
def test_no_seconds(text: str) -> None:
    with pytest.raises(BadLimit, match=r"tag dagster/max_runtime.*3600"):
        parse_seconds("tag dagster/max_runtime", text)

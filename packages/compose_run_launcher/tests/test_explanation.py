"""Ends of containers, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from compose_run_launcher.explanation import ended_at, explain, fault
from compose_run_launcher.losses import Fault


def ended(code: int, **state: Any) -> dict[str, Any]:
    """A container that ended."""
    return {
        "Id": "0123456789abcdef",
        "HostConfig": {"Memory": 512 * 2**20},
        "State": {
            "Running": False,
            "ExitCode": code,
            "OOMKilled": False,
            "Error": "",
            "StartedAt": "2026-01-01T00:00:00.123456789Z",
            "FinishedAt": "2026-01-01T00:00:12.623456789Z",
            **state,
        },
    }


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (ended(137, OOMKilled=True), ["more memory than its limit", "docker/memory"]),
        (ended(137), ["SIGKILL", "docker kill"]),
        (ended(143), ["SIGTERM"]),
        (ended(139), ["crashed"]),
        (ended(1), ["before Dagster could report"]),
        (ended(0), ["without finishing the run"]),
        (ended(78), ["entrypoint refused"]),
        (ended(127), ["not found"]),
        (ended(42), ["exit code 42"]),
        (ended(128 + 6), ["signal 6"]),
        (ended(127, Error="exec: no such file"), ["could not start", "exec: no such file"]),
    ],
)
def test_what_happened_and_what_to_do(container: dict[str, Any], words: list[str]) -> None:
    text = explain(container, "the end\n")
    for word in words:
        assert word in text
    assert f"exit code {container['State']['ExitCode']}" in text
    assert "0123456789ab " in text
    assert "memory limit 512 MiB" in text
    assert "lived 12.5 s" in text
    assert text.endswith("Last lines of its log:\nthe end")


def test_an_oom_kill_counts_whatever_the_exit_code() -> None:
    text = explain(ended(0, OOMKilled=True), "")
    assert "more memory than its limit" in text
    assert "killed for memory: yes" in text


def test_only_the_last_lines_of_a_long_log() -> None:
    text = explain(ended(1), "\n".join(f"line {n}" for n in range(500)))
    assert "line 449" not in text
    assert "line 450" in text


def test_a_container_that_wrote_nothing_and_never_started() -> None:
    text = explain(ended(0, StartedAt="0001-01-01T00:00:00Z"), "")
    assert "wrote nothing" in text
    assert "lived not at all" in text


def test_a_container_without_a_limit_that_lived_for_no_time() -> None:
    container = ended(1, FinishedAt="2026-01-01T00:00:00Z") | {"HostConfig": {"Memory": None}}
    text = explain(container, "")
    assert "killed for memory: no, memory limit none, lived 0.0 s" in text


@pytest.mark.parametrize("code", [126, 127, 255])
def test_what_a_code_of_docker_s_means(code: int) -> None:
    words = {126: "cannot be executed", 127: "was not found", 255: "with Docker Engine or with the"}
    assert words[code] in explain(ended(code), "")


def test_a_code_that_is_no_signal() -> None:
    assert "its program failed with exit code 128." in explain(ended(128), "")
    assert "it was ended by signal 1." in explain(ended(129), "")


def test_when_it_ended() -> None:
    expected = datetime(2026, 1, 1, 0, 0, 12, 623456, UTC)
    assert ended_at(ended(0)) == expected
    assert ended_at(ended(0, Running=True)) is None
    assert ended_at(ended(0, FinishedAt="0001-01-01T00:00:00Z")) is None


@pytest.mark.parametrize("code", [69, 137, 143, 255])
def test_what_comes_from_outside_is_nobodys_fault(code: int) -> None:
    assert fault(ended(code)) is Fault.LOST


@pytest.mark.parametrize(
    "container",
    [ended(0), ended(1), ended(3), ended(137, OOMKilled=True), ended(137, Error="no such file")],
)
def test_what_would_happen_again(container: dict[str, Any]) -> None:
    assert fault(container) is Fault.OWN


@pytest.mark.parametrize("code", [137, 143])
def test_a_run_that_was_terminated_is_told_so(code: int) -> None:
    assert "its run was terminated" in explain(ended(code), "", terminated=True)
    assert "terminated" not in explain(ended(code), "")


def test_a_terminated_run_that_used_too_much_memory_is_told_that() -> None:
    text = explain(ended(137, OOMKilled=True), "", terminated=True)
    assert "it used more memory than its limit" in text

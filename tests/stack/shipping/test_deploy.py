"""One location is shipped; nobody else notices."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from downtime import await_ticks, check_ticks, no_call_fails
from harness import FULL, Stack, until
from releases import (
    JOB,
    containers,
    deploy,
    listed,
    live,
    of_elt,
    original,
    stackctl,
    write,
    write_release,
)
from runs import launch


@dataclass(frozen=True)
class First:
    """The first release of these tests, and what was there before it."""

    containers: dict[str, str]
    original: str
    outcome: dict[str, Any]
    since: float
    """When it was live, in seconds since the epoch."""

    @property
    def release(self) -> str:
        return str(self.outcome["release"])


@pytest.fixture(scope="module")
def first(stack: Stack) -> First:
    """Shipped by `stackctl deploy` while others work."""
    original(stack)
    before = containers(stack), live(stack)
    write_release(stack, "first")
    with no_call_fails(
        stack, 1, lambda: launch(stack, "elt", "__ASSET_JOB", assets=["products_table"])
    ):
        outcome = deploy(stack)
    return First(*before, outcome, time.time())


@pytest.fixture(scope="module")
def second(stack: Stack, first: First) -> str:
    """Shipped after it, by Compose alone."""
    write_release(stack, "second")
    stack.compose("up", "--detach", "--build", "--wait", "elt")

    def is_live() -> str:
        now = live(stack)
        assert now != first.release
        return now

    return until(is_live, seconds=30)


def test_a_changed_location_is_shipped_and_nothing_else_restarts(
    stack: Stack, first: First
) -> None:
    assert first.outcome["went_live"]
    assert {"kind": "job", "name": "release_job", "how": "added", "fields": []} in first.outcome[
        "changes"
    ]
    after = containers(stack)
    assert {k: v for k, v in after.items() if "-elt-" not in k} == {
        k: v for k, v in first.containers.items() if "-elt-" not in k
    }
    assert not set(of_elt(stack)) & set(first.containers.values())
    run = launch(stack, "elt", "release_job")
    run.wait()
    assert run.stdout() == "release first\n"
    assert run.tags["dagster/image"].endswith(f"/elt:{first.release}")


def test_compose_finds_nothing_to_change(stack: Stack, first: First) -> None:
    shipped = containers(stack)
    if FULL:
        stack.compose("up", "--detach", "--wait")
        assert containers(stack) == shipped
    stack.compose("up", "--detach", "--build", "--wait")
    assert containers(stack) == shipped


def test_what_compose_ships_is_live_and_there_is_nothing_to_do(stack: Stack, second: str) -> None:
    [now] = [one for one in listed(stack) if one["live"]]
    assert (now["release"], now["how"]) == (second, "compose")
    shipped = containers(stack)
    assert not deploy(stack)["went_live"]
    assert containers(stack) == shipped


def test_a_difference_is_shown_and_nothing_is_shipped(stack: Stack, second: str) -> None:
    before, image = containers(stack), stack.inspect(f"{stack.project}/elt:live")["Id"]
    code = JOB.format(marker="not shipped").replace("release_job", "other_job")
    write(stack, code + "\n\n@dg.asset\ndef my_analytics_asset() -> None: ...\n")
    said = stackctl(stack, "diff", "elt", "--allow-clash")
    assert said.code == 0, said.text
    assert "also defined elsewhere: asset my_analytics_asset (analytics)" in said.text
    assert "+ job other_job" in said.text
    assert "- job release_job" in said.text
    assert containers(stack) == before
    assert len(of_elt(stack)) == 1
    assert stack.inspect(f"{stack.project}/elt:live")["Id"] == image


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deploy", "nope"], "there is no code location 'nope'. There are: analytics, elt"),
        (["rollback", "elt", "--to=nope"], "release 'nope' of elt is not kept"),
        (["deploy", "elt", "--image=127.0.0.1:1/elt:x"], "127.0.0.1:1"),
        (["deploy", "elt", "--image=postgres:17-trixie"], "is not one of elt"),
    ],
)
def test_what_cannot_be_shipped_is_named(stack: Stack, arguments: list[str], words: str) -> None:
    before = containers(stack)
    said = stackctl(stack, *arguments)
    assert said.code in {1, 2}
    assert words in said.text
    assert "Traceback" not in said.text
    assert containers(stack) == before


def test_back_to_the_release_before_and_to_a_named_one(
    stack: Stack, first: First, second: str
) -> None:
    """The last one here: its schedule has ticked by then, and goes on."""
    await_ticks(stack, first.since)
    with no_call_fails(stack, 1, lambda: launch(stack, "elt", "release_job")):
        said = stack.run("make", "rollback", "LOCATION=elt")
    check_ticks(stack, first.since)
    assert live(stack) == first.release, said
    run = launch(stack, "elt", "release_job")
    run.wait()
    assert run.stdout() == "release first\n"
    if FULL:
        stack.run("make", "rollback", "LOCATION=elt")
        assert live(stack) == first.original
        stack.run("make", "rollback", "LOCATION=elt", f"TO={second}")
    wanted = second if FULL else first.release
    [now] = [one for one in listed(stack) if one["live"]]
    assert (now["release"], now["how"]) == (wanted, "rollback")
    assert now["by"]
    assert wanted in stack.run("make", "releases", "LOCATION=elt")

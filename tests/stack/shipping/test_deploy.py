"""One location is shipped; nobody else notices."""

from __future__ import annotations

import pytest

from harness import Stack, until
from releases import (
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


@pytest.fixture(autouse=True, scope="module")
def _original(stack: Stack) -> None:
    original(stack)


def test_a_changed_location_is_shipped_and_nothing_else_restarts(stack: Stack) -> None:
    before = containers(stack)
    write_release(stack, "one")
    outcome = deploy(stack)
    assert outcome["went_live"]
    assert {"kind": "job", "name": "release_job", "how": "added", "fields": []} in outcome[
        "changes"
    ]

    after = containers(stack)
    assert {k: v for k, v in after.items() if "-elt-" not in k} == {
        k: v for k, v in before.items() if "-elt-" not in k
    }
    assert not set(of_elt(stack)) & set(before.values())
    run = launch(stack, "elt", "release_job")
    run.wait()
    assert run.stdout() == "release one\n"
    assert run.tags["dagster/image"].endswith(f"/elt:{outcome['release']}")


def test_compose_and_deploy_agree_about_what_runs(stack: Stack) -> None:
    write_release(stack, "agreed")
    deploy(stack)
    shipped = containers(stack)
    stack.compose("up", "--detach", "--wait")
    assert containers(stack) == shipped
    stack.compose("up", "--detach", "--build", "--wait")
    assert containers(stack) == shipped

    # The other way round: what Compose has shipped alone is live, and there is nothing to do.
    write_release(stack, "by compose")
    stack.compose("up", "--detach", "--build", "--wait", "elt")

    def known() -> dict[str, object]:
        [found] = [one for one in listed(stack) if one["live"]]
        return dict(found)

    assert until(known, seconds=30)["how"] == "compose"
    shipped = containers(stack)
    assert not deploy(stack)["went_live"]
    assert containers(stack) == shipped


def test_a_difference_is_shown_and_nothing_is_shipped(stack: Stack) -> None:
    write(stack, "")
    deploy(stack)
    before, images = containers(stack), stack.inspect(f"{stack.project}/elt:live")["Id"]
    write_release(stack, "not shipped")
    said = stackctl(stack, "diff", "elt")
    assert said.code == 0, said.text
    assert "+ job release_job" in said.text
    assert containers(stack) == before
    assert len(of_elt(stack)) == 1
    assert stack.inspect(f"{stack.project}/elt:live")["Id"] == images

    deploy(stack)
    write(stack, "")
    assert "- job release_job" in stackctl(stack, "diff", "elt").text


def test_back_to_the_release_before_and_to_a_named_one(stack: Stack) -> None:
    original = live(stack)
    write_release(stack, "first")
    first = deploy(stack)["release"]
    write_release(stack, "second")
    second = deploy(stack)["release"]

    said = stack.run("make", "rollback", "LOCATION=elt")
    assert live(stack) == first, said
    run = launch(stack, "elt", "release_job")
    run.wait()
    assert run.stdout() == "release first\n"
    stack.run("make", "rollback", "LOCATION=elt", f"TO={original}")
    assert live(stack) == original
    stack.run("make", "rollback", "LOCATION=elt", f"TO={second}")
    [now] = [one for one in listed(stack) if one["live"]]
    assert (now["release"], now["how"]) == (second, "rollback")
    assert now["by"]
    assert second in stack.run("make", "releases", "LOCATION=elt")


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

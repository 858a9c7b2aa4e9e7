"""What went live before what, when, and from which revision."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from stackctl import records, retention
from stackctl.deploy import Shipping
from stackctl.errors import FAILED, StackctlError
from stackctl.records import Record
from stackctl.service import Container, Service, content_of
from stackctl.stack import Stack

STACK = Stack({"name": "s", "services": {"elt": {"image": "s/elt:live"}}})


def lived(*steps: str) -> list[Record]:
    """Records of releases that went live one after the other, by "how release"."""
    split = [step.split() for step in steps]
    return [
        Record(release, f"2026-01-{day:02}T10:00:00+00:00", "ann", "1", how)
        for day, (how, release) in enumerate(split, start=1)
    ]


def container(release: str, created: str = "") -> Container:
    content = content_of(image(release))
    return Container(release, "elt", "sha256:0", "running", 1, "", {}, (), created, content)


def image(release: str) -> dict[str, Any]:
    """Part of what the engine says of a release's image."""
    return {"Id": f"sha256:{release}", "RootFS": {"Layers": [release]}, "Config": {}}


class Stand:
    """A location with kept releases and records, and one that serves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kept: str, steps: list[str]) -> None:
        self.records = lived(*steps)
        self.tagged = dict.fromkeys(kept, "2026-03-01T12:00:00.123456789+01:00")
        self.serving: Container | None = None
        monkeypatch.setattr("stackctl.deploy.records.read", lambda *_: self.records)
        monkeypatch.setattr(Service, "serving", lambda _: self.serving)
        monkeypatch.setattr(retention, "docker", lambda *_: "")
        monkeypatch.setattr(retention, "inspect", lambda *_: self._images())
        monkeypatch.setattr("stackctl.deploy.inspect", lambda _, name: name[-1:] in self.tagged)
        self.shipping = Shipping(Service(STACK, "elt"), None, 0)  # type: ignore[arg-type]

    def _images(self) -> list[dict[str, Any]]:
        return [
            image(name)
            | {
                "Size": 7,
                "Metadata": {"LastTagTime": tagged},
                "RepoTags": [f"s/elt:{name}"],
            }
            for name, tagged in self.tagged.items()
        ]

    def roll_back(self) -> str:
        """One `rollback`, without its deployment."""
        release = self.shipping.previous()
        record = Record(release, "2026-02-03T10:00:00+00:00", "ann", "1", "rollback")
        self.records = [*self.records, *self.shipping._history(self.serving)[1], record]
        self.serving = container(release)
        return release


def test_each_rollback_goes_one_further_back_and_the_last_says_that_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand = Stand(monkeypatch, "abc", ["deploy a", "deploy b", "deploy c"])
    stand.serving = container("c")
    assert stand.roll_back() == "b"
    assert "rolling elt back from release c to b" in capsys.readouterr().err
    assert stand.roll_back() == "a"
    with pytest.raises(StackctlError, match="no release that was live before a is kept") as error:
        stand.roll_back()
    assert error.value.exit_code == FAILED


@pytest.mark.parametrize(
    ("steps", "back"),
    [
        ([], ""),
        (["deploy a"], ""),
        # A deployment after a rollback goes on from there.
        (["deploy a", "deploy b", "rollback a", "deploy c"], "a"),
        (["deploy a", "deploy b", "deploy c", "rollback a", "deploy c"], "a"),
        # By TO=, over several at once, and forward again.
        (["deploy a", "deploy b", "deploy c", "rollback a"], ""),
        (["deploy a", "deploy b", "rollback a", "rollback b"], "a"),
        # One that comes again is there twice; one whose settings alone changed is not.
        (["deploy a", "deploy b", "deploy a"], "ba"),
        (["deploy a", "deploy b", "deploy b"], "a"),
    ],
)
def test_the_way_back(steps: list[str], back: str) -> None:
    assert "".join(records.way_back(lived(*steps))) == back


def test_what_compose_alone_brought_live_is_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(monkeypatch, "axy", ["deploy a"])
    stand.tagged["x"] = "2026-02-01T12:00:00Z"
    stand.serving = container("y", "2026-02-02T10:00:00+00:00")
    assert [stand.roll_back(), stand.roll_back()] == ["x", "a"]


def test_one_that_compose_brought_back_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(monkeypatch, "ab", ["deploy a", "deploy b"])
    stand.serving = container("a", "2026-02-02T10:00:00+00:00")
    assert stand.roll_back() == "b"


def test_one_that_is_no_longer_kept_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(monkeypatch, "ac", ["deploy a", "deploy b", "deploy c"])
    stand.serving = container("c")
    assert stand.roll_back() == "a"


def test_a_first_release_went_live_with_its_container(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(monkeypatch, "ab", [])
    # A deployment tags the serving image again, and the engine notes that time.
    serving = container("a", "2026-01-01T10:00:00+00:00")
    found = retention.releases(stand.shipping.service, [], serving)
    when = {one.release: one.when for one in found}
    assert when == {"a": "2026-01-01T10:00:00+00:00", "b": "2026-03-01T11:00:00+00:00"}


@pytest.fixture
def checkout(tmp_path: Path) -> Service:
    """elt's service in a repository with one commit."""
    for name in ("src/elt.py", "Dockerfile", "README.md"):
        file = tmp_path / "elt" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (tmp_path / "elt" / "tests").mkdir()
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    labels = {"compose_run_launcher.role": "code-location"}
    elt = {"build": {"context": str(tmp_path / "elt")}, "labels": labels}
    return Service(Stack({"name": "s", "services": {"elt": elt}}), "elt")


@pytest.mark.parametrize(
    ("file", "is_dirty"),
    [
        ("elt/src/new.py", True),
        ("elt/src/elt.py", True),
        ("elt/src/new.pyc", False),
        ("elt/notes.md", True),
        ("elt/tests/test_new.py", False),
        ("notes.md", False),
        (None, False),
    ],
)
def test_a_revision_is_dirty_by_what_is_in_the_image(
    checkout: Service, tmp_path: Path, file: str | None, is_dirty: bool
) -> None:
    if file:
        (tmp_path / file).write_text("changed")
    assert records.revision(checkout, tmp_path).endswith("-dirty") == is_dirty

"""The daemon reads a workspace file that has changed, and no other, at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from control_plane import workspace_watch
from control_plane.workspace_watch import PromptRefresh


class Controller:
    """Dagster's check, in short: overdue after a minute; ``works`` says how a refresh ends."""

    works = True
    refreshed = 0

    def check(self, last: float) -> float:
        """Seconds of Unix time."""
        if time.time() - last <= 60 or not self.works:
            return last
        self.refreshed += 1
        return time.time()


def replace(path: Path, text: str) -> None:
    """As the publisher does."""
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def test_a_change_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "workspace.yaml"
    path.write_text("a")
    controller = Controller()
    prompt = PromptRefresh(path, controller.check)
    start = time.time()
    assert prompt(start) == start
    replace(path, "b")
    assert prompt(start) > start
    assert prompt(start) == start
    assert controller.refreshed == 1


def test_a_failed_refresh_is_tried_again_and_counts_from_the_last_good_one(tmp_path: Path) -> None:
    path = tmp_path / "workspace.yaml"
    path.write_text("a")
    controller = Controller()
    prompt = PromptRefresh(path, controller.check)
    replace(path, "b")
    controller.works = False
    start = time.time()
    assert prompt(start) == start
    controller.works = True
    assert prompt(start) > start


def test_the_usual_minute_stays(tmp_path: Path) -> None:
    path = tmp_path / "workspace.yaml"
    path.write_text("a")
    controller = Controller()
    PromptRefresh(path, controller.check)(time.time() - 61)
    assert controller.refreshed == 1


def test_what_is_served_is_not_read_again_each_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But when one is not loaded; and now and then, whatever is said."""
    path = tmp_path / "workspace.yaml"
    path.write_text("a")
    controller, served = Controller(), [True]
    prompt = PromptRefresh(path, controller.check, lambda: served[0])
    long_ago = time.time() - 61
    assert prompt(long_ago) > long_ago
    assert controller.refreshed == 0
    served[0] = False
    prompt(long_ago)
    assert controller.refreshed == 1
    served[0] = True
    monkeypatch.setattr(workspace_watch, "_AT_LATEST_S", -1)
    prompt(time.time())
    assert controller.refreshed == 2

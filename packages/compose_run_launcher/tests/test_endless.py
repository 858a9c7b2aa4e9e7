"""A thread that follows something for as long as the daemon lives."""

from __future__ import annotations

import threading

import pytest

from compose_run_launcher.threads import Endless


class BreaksOnce(Endless):
    """Its first piece of work fails, the second one is its last."""

    def __init__(self) -> None:
        super().__init__("breaks-once")
        self.pieces = 0
        self.went_on = threading.Event()

    def follow(self) -> None:
        self.pieces += 1
        if self.pieces == 1:
            raise ValueError("no such thing")
        self.went_on.set()
        threading.Event().wait()


def test_what_breaks_the_work_is_logged_with_its_traceback_and_the_thread_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thread = BreaksOnce()
    thread.start()
    assert thread.went_on.wait(60)
    assert "ValueError: no such thing" in caplog.text
    assert 'raise ValueError("no such thing")' in caplog.text

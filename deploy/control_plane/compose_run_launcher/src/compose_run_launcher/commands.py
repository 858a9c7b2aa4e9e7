"""Command lines of run containers: the worker program and its order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from compose_run_launcher import worker


@cache
def _program() -> str:
    return Path(worker.__file__).read_text()


def execute_run(python: str, instance_ref: str, run_id: str, otherwise: Sequence[str]) -> list[str]:
    """Execute one run, now; by the command ``otherwise`` in an image whose Dagster is too old."""
    order = {"instance": instance_ref, "run_id": run_id, "otherwise": list(otherwise)}
    return _command(python, order)


def stand_by(
    python: str, instance_ref: str, pointers: tuple[str, ...], ticket: str, max_idle_s: float
) -> list[str]:
    """Get ready, and wait for the run with this ticket."""
    order = {
        "instance": instance_ref,
        "pointers": pointers,
        "ticket": ticket,
        "max_idle_s": max_idle_s,
    }
    return _command(python, order)


def _command(python: str, order: Mapping[str, Any]) -> list[str]:
    # The text itself, so that an image needs nothing of the launcher's, and program and launcher
    # always agree, for a release of last month too.
    return [python, "-c", _program(), json.dumps(order)]

"""Command lines of run containers: the worker program and its order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from compose_run_launcher import worker as program


@cache
def _program() -> str:
    return Path(program.__file__).read_text()


@dataclass(frozen=True)
class Code:
    """What a worker may execute: one location's serialized code pointers, with one Python."""

    location: str
    python: str
    pointers: tuple[str, ...]


def execute_run(code: Code, instance_ref: str, run_id: str, otherwise: Sequence[str]) -> list[str]:
    """Execute one run, now; by the command ``otherwise`` in an image whose Dagster is too old."""
    order = {"instance": instance_ref, "run_id": run_id, "otherwise": list(otherwise)}
    return _command(code, order)


def stand_by(code: Code, instance_ref: str, ticket: str, key: str, max_idle_s: float) -> list[str]:
    """Get ready, and wait for the run with this ticket and a proof by this key."""
    order = {"instance": instance_ref, "ticket": ticket, "key": key, "max_idle_s": max_idle_s}
    return _command(code, order)


def handover_tags(worker: Mapping[str, Any], run_id: str) -> dict[str, str]:
    """The tags that give a run to a standby worker, by what its inspected container says.

    Ticket and key are in its command, so that a daemon that did not make it can go on with it.
    Raises ValueError when they do not: an earlier launcher made it.
    """
    try:
        order = json.loads(worker["Config"]["Cmd"][-1])
        return program.handover_tags(order["ticket"], order["key"], run_id)
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("it was made by an earlier launcher, without a key") from error


def _command(code: Code, order: Mapping[str, Any]) -> list[str]:
    # The text itself, so that an image needs nothing of the launcher's, and program and launcher
    # always agree, for a release of last month too.
    own = {"location": code.location, "pointers": code.pointers}
    return [code.python, "-c", _program(), json.dumps({**order, **own})]

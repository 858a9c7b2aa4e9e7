"""At no instant does a location not answer while it is shipped, however often.

Two switches, and the schedule meanwhile, are in test_deploy.py.
"""

from __future__ import annotations

import time

import pytest

from downtime import await_ticks, check_ticks, no_call_fails
from harness import Stack
from releases import deploy, write_release
from runs import launch

DEPLOYS = 20


@pytest.mark.long
def test_no_call_fails_and_no_tick_is_lost(stack: Stack) -> None:
    write_release(stack, "0")
    deploy(stack)
    since = time.time()
    await_ticks(stack, since)
    with no_call_fails(stack, DEPLOYS, lambda: launch(stack, "elt", "release_job"), every_s=5):
        for number in range(1, DEPLOYS):
            write_release(stack, str(number))
            assert deploy(stack)["went_live"]
        stack.run("make", "rollback", "LOCATION=elt")
    check_ticks(stack, since)

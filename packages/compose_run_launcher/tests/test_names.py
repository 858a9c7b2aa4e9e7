"""By its name a container is known to be a run's, whichever way the run came to it."""

from __future__ import annotations

import pytest

from compose_run_launcher import labels

RUN = "0b7b0b0e-6a3c-4d8e-9a52-0a8a3f6c1a11"


@pytest.mark.parametrize(
    "name",
    [
        labels.run_name("stack", RUN),
        "/" + labels.run_name("stack", RUN),
        labels.run_name("stack", RUN) + "-after-0123456789ab",
    ],
)
def test_a_runs(name: str) -> None:
    assert labels.run_of("stack", name) == RUN


@pytest.mark.parametrize(
    "name",
    [
        labels.standby_name("stack", "elt", "0123456789ab"),
        labels.run_name("another-stack", RUN),
        labels.run_name("stack-run", RUN),
        "/stack-elt-1",
        labels.run_name("stack", RUN) + "-copy",
    ],
)
def test_no_runs(name: str) -> None:
    assert labels.run_of("stack", name) == ""

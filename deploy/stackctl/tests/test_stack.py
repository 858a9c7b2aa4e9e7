"""The stack as its compose file describes it."""

import pytest

from stackctl.errors import USAGE, StackctlError
from stackctl.stack import Stack

LABEL = {"compose_run_launcher.role": "code-location"}
STACK = Stack(
    {
        "name": "s",
        "services": {"postgres": {}, "elt": {"labels": LABEL}, "analytics": {"labels": LABEL}},
    }
)


def test_code_locations_are_the_services_that_say_so() -> None:
    assert STACK.locations == ["elt", "analytics"]


def test_another_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(StackctlError, match=r"'postgres'.*elt, analytics") as refusal:
        STACK.check_location("postgres")
    assert refusal.value.exit_code == USAGE

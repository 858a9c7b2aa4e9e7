import itertools

import pytest

from stackctl.waiting import until


def test_it_looks_until_the_condition_holds() -> None:
    looks = itertools.count()
    assert until(lambda: next(looks) == 2, seconds=60, every=0.001)
    assert next(looks) == 3


def test_it_says_when_the_time_is_over() -> None:
    assert not until(lambda: False, seconds=0.01, every=0.001)


def test_what_the_condition_raises_is_not_waited_out() -> None:
    def broken() -> bool:
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"):
        until(broken, seconds=60, every=0.001)

"""The file of pool limits."""

from pathlib import Path

import pytest

from control_plane.errors import StackError
from control_plane.instance import read_limits

OURS = Path(__file__).parents[2] / "postgres" / "pools.toml"


def test_ours_lets_several_days_be_loaded_at_once() -> None:
    assert read_limits(OURS)["raw_orders"] > 1


def test_no_file_is_no_limits(tmp_path: Path) -> None:
    assert read_limits(tmp_path / "pools.toml") == {}


@pytest.mark.parametrize("value", ['"4"', "0", "-1", "1.5", "true", "[1]"])
def test_a_bad_limit_is_named(tmp_path: Path, value: str) -> None:
    (tmp_path / "pools.toml").write_text(f"a = 1\nb = {value}\n")
    with pytest.raises(StackError, match=r"pools\.toml: pool b has the limit .*, not a number"):
        read_limits(tmp_path / "pools.toml")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "pools.toml").write_text("a: 1\n")
    with pytest.raises(StackError, match=r"pools\.toml: "):
        read_limits(tmp_path / "pools.toml")

"""A location whose definitions raise at import; then a part that dies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from checkout import Stack
from polling import wait_for

# On the stack of Compose, tests/stack/bad_input shows it in each run.
pytestmark = pytest.mark.long

REASON = "broken on purpose"


@pytest.fixture(scope="module")
def definitions(stack: Stack) -> Iterator[Path]:
    path = stack.checkout / "code_locations" / "elt" / "src" / "elt" / "definitions.py"
    good = path.read_text()
    path.write_text(f'raise RuntimeError("{REASON}")\n{good}')
    yield path
    path.write_text(good)


def test_the_others_and_the_ui_stand(stack: Stack, definitions: Path) -> None:
    stack.start()
    stack.wait_until_ready(120)
    locations = stack.ui.locations()
    assert locations["analytics"]["__typename"] == "RepositoryLocation"
    assert locations["elt"]["__typename"] == "PythonError"
    assert REASON in str(locations["elt"]["errorChain"])


def test_the_console_has_one_clear_line_and_no_traceback(stack: Stack) -> None:
    lines = [line for line in stack.output.splitlines() if REASON in line]
    assert len(lines) == 1
    assert "elt" in lines[0]
    assert "Traceback" not in stack.output
    assert 'File "' not in stack.output


def test_the_empty_landing_zone_was_filled_again(stack: Stack) -> None:
    files = {file.name for file in (stack.checkout / ".dev" / "landing_zone").iterdir()}
    assert files - {".sample_files"} == {"customers.csv", "orders.csv", "products.csv"}


def test_after_a_fix_reload_is_enough(stack: Stack, definitions: Path) -> None:
    definitions.write_text(definitions.read_text().split("\n", 1)[1])
    stack.ui.reload("elt")
    wait_for(
        "elt is loaded",
        lambda: stack.ui.locations()["elt"]["__typename"] == "RepositoryLocation",
        60,
    )


@pytest.mark.parametrize("part", ["control_plane.loopback_webserver"])
def test_without_an_essential_part_everything_ends_with_a_reason(stack: Stack, part: str) -> None:
    for process in stack.named(part):
        process.kill()
    assert stack.wait_for_end(60) == 1
    assert "webserver ended by itself" in stack.output
    assert ".dev/logs/webserver.log" in stack.output
    assert "Traceback" not in stack.output
    assert stack.processes() == []

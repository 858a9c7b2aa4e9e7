"""A location whose definitions raise at import; then parts that die."""

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


@pytest.mark.parametrize(
    ("part", "title"),
    [
        ("control_plane.loopback_webserver", "webserver"),
        ("control_plane.daemon", "daemon"),
        ("postgres -D", "Postgres"),
        ("code-server start", "the code server of elt"),
        ("embedded.watchdog", "the watchdog"),
    ],
)
def test_a_part_that_is_killed_is_started_again(stack: Stack, part: str, title: str) -> None:
    [process, *_] = stack.named(part)
    for each in stack.named(part):
        each.kill()
    wait_for("its end is reported", lambda: f"{title} ended" in stack.output, 30)
    wait_for(
        "it is there again",
        lambda: [each for each in stack.named(part) if each.pid != process.pid],
        60,
    )
    wait_for("the UI answers", stack.ui.answers, 60)
    assert "Traceback" not in stack.output

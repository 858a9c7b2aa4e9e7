"""`tests/run` itself: what it prints at the end, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness import REPOSITORY

REPORT = """<testsuites><testsuite>
<testcase classname="a.test_a" name="test_quick" time="0.5" />
<testcase classname="a.test_a" name="test_slow" time="61.0" />
<testcase classname="a.test_a" name="test_left_out" time="0"><skipped /></testcase>
<testcase classname="a.test_a" name="test_bad" time="1"><failure /></testcase>
</testsuite></testsuites>"""


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    loader = SourceFileLoader("tests_run", str(REPOSITORY / "tests/run"))
    module = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    # Dataclasses look their module up by its name.
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def summary(
    runner: ModuleType,
    capsys: pytest.CaptureFixture[str],
    *parts: Any,
    skipped: tuple[str, ...] = (),
) -> tuple[int, list[str]]:
    """Exit status and lines of the summary of some parts."""
    run = runner.Run(parts=list(parts), skipped=list(skipped))
    return runner.summary(run, 90.0), capsys.readouterr().out.splitlines()


def test_it_ends_with_minutes_the_slowest_tests_and_one_line_of_counts(
    runner: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    part = runner.Part("unit a", 60.0, True, report)
    code, lines = summary(runner, capsys, part, skipped=("x: make y", "x: make y"))
    assert code == 1
    assert ["unit", "a", "4", "1.0"] in [line.split() for line in lines]
    assert ["together", "1.5"] in [line.split() for line in lines]
    slowest = lines.index(next(line for line in lines if "slowest" in line))
    assert lines[slowest + 1].split() == ["61.0", "a.test_a::test_slow"]
    assert lines.count("skipped: x: make y") == 1
    assert "FAILED: unit a" in lines
    assert lines[-1] == "2 passed, 1 failed, 1 skipped"


def test_a_part_that_wrote_no_report_has_failed(
    runner: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    part = runner.Part("unit a", 1.0, True, tmp_path / "none.xml")
    code, lines = summary(runner, capsys, part)
    assert code == 1 and "FAILED: unit a" in lines


def test_what_raises_in_the_second_lane_is_a_failure(runner: ModuleType, tmp_path: Path) -> None:
    def broken(_: Any) -> None:
        raise OSError("no space left on device")

    with (tmp_path / "log").open("w") as log:
        run = runner.Run(log)
        engine_is_free = threading.Event()
        runner.second_lane(run, (broken,), engine_is_free, [])
    # The other lane waits for it.
    assert engine_is_free.is_set()
    assert [part.failed for part in run.parts] == [True]
    assert "no space left on device" in (tmp_path / "log").read_text()


def test_every_project_is_tested_by_one_of_the_lanes(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested: list[tuple[Path, tuple[str, ...]]] = []
    monkeypatch.setattr(
        runner.Run,
        "pytest",
        lambda _run, _name, project, *arguments, **__: tested.append((project, arguments)),
    )
    left = runner.without_engine()
    runner.second_lane(runner.Run(), (), threading.Event(), left)
    # `make soak` runs the others: tests/guides and bench/load_speed.
    names = ("tests/embedded", *runner.unit_projects())
    assert list(dict.fromkeys(project for project, _ in tested)) == [REPOSITORY / n for n in names]
    assert left == []
    # A folder that runs apart is left out of the rest of its project, and of nothing else.
    for name in names:
        given = [arguments for project, arguments in tested if project == REPOSITORY / name]
        apart = runner.APART.get(name)
        assert given == ([(apart,), (f"--ignore={apart}",)] if apart else [()])
        assert not apart or (REPOSITORY / name / apart).is_dir()


def test_every_scenario_runs_in_one_session(runner: ModuleType) -> None:
    assert {*runner.SECOND, *runner.LAST} <= set(runner.scenarios())
    assert not set(runner.SECOND) & set(runner.LAST)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tests/run", "nope"], "there are no tests called 'nope'. There are: lint, "),
        (["tests/run", "stack:nope"], "stack:nope: there is no such scenario. There are: "),
        (["tests/run", "unit:nope"], "unit:nope: there is no such project. There are: "),
        (["make", "test", "LOCATION=nope"], "LOCATION is 'nope'"),
    ],
)
def test_unknown_names_are_errors(arguments: list[str], words: str) -> None:
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"error: {words}" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_left_is_done_once_by_the_lane_that_ends_first(runner: ModuleType) -> None:
    taken: list[Any] = []
    first, second, left = runner.Run(), runner.Run(), [taken.append, taken.append]
    runner.second_lane(first, (), threading.Event(), left)
    runner.second_lane(second, (), threading.Event(), left)
    assert taken == [first, first]

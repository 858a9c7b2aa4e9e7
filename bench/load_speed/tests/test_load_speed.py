"""The benchmark itself: a thousand rows through every subject, and what is made of the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import picture
import report
import rows
import subjects
import trial
from document import put_into

HERE = Path(__file__).parents[1]
DOCUMENT = subjects.REPOSITORY / "docs" / "bench-loading.md"


def test_every_subject_loads_the_same_rows_and_the_figures_are_written(tmp_path: Path) -> None:
    (tmp_path / DOCUMENT.name).write_text(DOCUMENT.read_text())
    small = ["--rows=1000", "--repeat=1", "--large=2000", f"--docs={tmp_path}"]
    done = subprocess.run(
        [HERE.parent / "run", HERE.name, *small], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "load-speed.json").read_text())
    measured = {
        subject.name: {op for op, found in result["figures"].items() if subject.name in found}
        for subject in subjects.SUBJECTS
    }
    assert measured == {subject.name: {*subject.operations} for subject in subjects.SUBJECTS}
    assert result["postgres"]["fsync"] == "on"
    assert done.stdout.strip() in (tmp_path / DOCUMENT.name).read_text()
    assert (tmp_path / "load-speed.svg").read_text().startswith("<?xml")


def test_the_rows_are_the_same_from_run_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CHUNK_ROWS", 400)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (rows.write(folder, 1_000, edition=0) for folder in folders)
    assert one.csv.read_bytes() == two.csv.read_bytes()
    assert one.parquet.read_bytes() == two.parquet.read_bytes()


def test_editions_share_all_keys_and_no_row() -> None:
    (first,), (second,) = rows.batches(1000, 0), rows.batches(1000, 1)
    assert first["order_id"] == second["order_id"]
    assert not {*first["quantity"].to_pylist()} & {*second["quantity"].to_pylist()}


def test_rows_hold_what_makes_loading_hard() -> None:
    (batch,) = rows.batches(1000, 0)
    text = "".join(filter(None, batch["note"].to_pylist()))
    assert {",", '"', "日"} <= {*text}
    assert batch["note"].null_count and batch["shipped_at"].null_count


def test_peak_memory_includes_child_processes(tmp_path: Path) -> None:
    hold = "import sys; b = bytearray(100 * 2**20); print(); sys.stdin.read(1)"
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {hold!r}], stdin=-1, stdout=-1)\n"
        "child.stdout.readline()\n"
        "import time; time.sleep(0.2)\n"
        "child.communicate(b'x')\n"
        """print('{"load_s": 0.125}')"""
    )
    found = trial.run([sys.executable, "-c", parent], {}, tmp_path)
    assert found.load_s == 0.125
    assert 100 < found.peak_mib < 200


def test_a_loader_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such table"):
        trial.run([sys.executable, "-c", "raise SystemExit('no such table')"], {}, tmp_path)


def figures() -> report.Figures:
    """Of a first load that took 1 and 3 and 2 s by elt, and 4 s by dlt."""
    trials = {
        (subjects.FIRST, subjects.ELT_CSV): [trial.Trial(s, 1, 30 + s) for s in (1, 3, 2)],
        (subjects.FIRST, subjects.DLT): [trial.Trial(4, 2, 400)],
    }
    return report.summary(trials, rows=1000)


def test_medians_and_ratios() -> None:
    ours = figures()[subjects.FIRST][subjects.ELT_CSV]
    assert (ours["load_s"], ours["rows_per_s"], ours["peak_mib"]) == (2, 500, 33)
    assert ours[f"times {subjects.DLT}"] == 2


def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("one", "two"):
        picture.draw(figures(), "1,000 rows", tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_tables_replace_those_before_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("before\n<!-- x -->\nold\n<!-- end of x -->\nafter\n")
    put_into(document, "x", "new")
    assert document.read_text() == "before\n<!-- x -->\n\nnew\n\n<!-- end of x -->\nafter\n"
    with pytest.raises(ValueError, match="<!-- y -->"):
        put_into(document, "y", "new")

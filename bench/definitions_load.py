"""How long a code location's definitions take to load, and how that grows with what it has.

    bench/run definitions_load [--repeat 5] [--more 10 100 1000]

Each time a fresh process of the location's own environment imports the definitions and resolves
the repository, in a copy of the location's folder with so many tables (elt: a module each) or dbt
models (analytics: a .sql file each, in the manifest) more. All take turns. Prints a table; writes
definitions-load.json and the table of bench-loading.md in the folder of --docs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from document import put_into

from harness import REPOSITORY

EMPTY = "import dagster"
LOAD = "from {name}.definitions import defs; defs.get_repository_def().get_all_jobs()"
PEAK = (
    "\nfrom pathlib import Path\n"
    "status = Path('/proc/self/status').read_text()\n"
    "print(int(status.partition('VmHWM:')[2].split()[0]) / 1024)"
)
TABLE = """\
from postgres_loader import Column, Table, table_asset

table = table_asset(
    Table(
        name="{name}",
        description="Generated.",
        primary_key=("id",),
        columns=(
            Column("id", "bigint", "Identifies the row."),
            *(Column(f"value{{n}}", "text", "A value.", nullable=True) for n in range(9)),
        ),
    )
)
"""
MODEL = "select customer_id, '{name}' as name from {{{{ ref('stg_customers') }}}}\n"
KINDS = {"elt": "tables", "analytics": "dbt models"}


def copy_location(location: str, more: int, folder: Path) -> Path:
    """A copy of the location's folder with more tables or models, with the environment beside."""
    original = REPOSITORY / "code_locations" / location
    copy = folder / f"{location}-{more}"
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns(".venv", "__pycache__", "target"))
    (copy / ".venv").symlink_to(original / ".venv")
    names = [f"generated_{number:04}" for number in range(more)]
    if location == "elt":
        for name in names:
            module = copy / "src" / "elt" / "defs" / "assets" / f"{name}.py"
            module.write_text(TABLE.format(name=name))
    else:
        models = copy / "dbt" / "models" / "generated"
        models.mkdir()
        for name in names:
            (models / f"{name}.sql").write_text(MODEL.format(name=name))
        parse = REPOSITORY / "deploy" / "code_location" / "dbt-parse"
        subprocess.run([parse, copy], check=True, stdout=subprocess.DEVNULL)
    return copy


def load(copy: Path, code: str) -> tuple[float, float]:
    """Seconds of a process from its start to its end, and its peak memory in MiB."""
    began = time.perf_counter()
    done = subprocess.run(
        [copy / ".venv" / "bin" / "python", "-c", code + PEAK],
        cwd=copy,
        # Before the environment's own way to the original's code.
        env={**os.environ, "PYTHONPATH": str(copy / "src")},
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    return seconds, float(done.stdout.split()[-1])


def measure(locations: list[str], more: list[int], repeat: int) -> dict[str, dict[str, Any]]:
    """Figures by what was loaded; `more` is how much was added."""
    with tempfile.TemporaryDirectory() as folder:
        subjects: dict[tuple[str, int | None], tuple[Path, str]] = {}
        for name in locations:
            for count in [0, *more]:
                print(f"{name}: {count} {KINDS[name]} more", file=sys.stderr)
                copy = copy_location(name, count, Path(folder))
                subjects.setdefault((name, None), (copy, EMPTY))
                subjects[name, count] = copy, LOAD.format(name=name)
        for copy, code in subjects.values():
            load(copy, code)  # writes the bytecode, which an image has
        taken: dict[tuple[str, int | None], list[tuple[float, float]]] = {}
        for _ in range(repeat):
            for subject, (copy, code) in subjects.items():
                taken.setdefault(subject, []).append(load(copy, code))
    return {name: figures(name, taken) for name in locations}


def figures(
    location: str, taken: dict[tuple[str, int | None], list[tuple[float, float]]]
) -> dict[str, Any]:
    """Medians of a location's seconds, and how many times its import and what it is those are."""
    medians = {
        count: statistics.median(seconds for seconds, _ in found)
        for (name, count), found in taken.items()
        if name == location
    }
    return {
        EMPTY if count is None else f"{count} {KINDS[location]} more": {
            "load_s": round(seconds, 3),
            f"times {EMPTY}": round(seconds / medians[None], 2),
            "times as it is": round(seconds / medians[0], 2),
            "peak_mib": round(max(peak for _, peak in taken[location, count]), 1),
        }
        for count, seconds in medians.items()
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """The figures for readers."""
    head = ("", "seconds", f"times `{EMPTY}`", "times as it is", "peak MiB")
    lines = [f"| {' | '.join(head)} |", "|---|---:|---:|---:|---:|"]
    for location, found in results.items():
        for what, row in found.items():
            cells = (
                f"{location}: {what}",
                f"{row['load_s']:.2f}",
                f"{row[f'times {EMPTY}']:.2f}",
                f"{row['times as it is']:.2f}",
                f"{row['peak_mib']:.0f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5, help="processes per subject (default 5)")
    parser.add_argument("--more", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--only", nargs="*", choices=KINDS, default=[*KINDS])
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs")
    asked = parser.parse_args()
    for name in asked.only:
        project = REPOSITORY / "code_locations" / name
        uv = [REPOSITORY / "deploy" / "tools" / "uv", "sync", "--quiet", "--frozen"]
        subprocess.run([*uv, "--project", project], check=True)
    results = measure(asked.only, asked.more, asked.repeat)
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Linux {platform.release()}"
    content = {"machine": machine, "repeat": asked.repeat, "results": results}
    asked.docs.mkdir(parents=True, exist_ok=True)
    (asked.docs / "definitions-load.json").write_text(json.dumps(content, indent=1) + "\n")
    text = f"{machine}, medians of {asked.repeat}.\n\n{table(results)}"
    if (document := asked.docs / "bench-loading.md").exists():
        put_into(document, "definitions_load", text)
    print(text)


if __name__ == "__main__":
    main()

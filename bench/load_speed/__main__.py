"""How fast files get into PostgreSQL: psql's \\copy, elt's loader, dlt and pandas.

    bench/run load_speed [--rows 1000000] [--repeat 5] [--large 10000000]

The same rows, as CSV and Parquet, into an embedded PostgreSQL of the benchmark's own, with
initdb's settings. All subjects take turns; each load is a process of its own, and what it leaves
is compared with what \\copy leaves. Prints the tables; writes load-speed.json, load-speed.svg and
the tables of bench-loading.md in the folder of --docs.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import picture
import report
import rows
import server
import table
from document import put_into
from subjects import COPY_KEY, EDITIONS, ELT, ELT_CSV, FIRST, REPOSITORY, SUBJECTS, Subject
from trial import Trial, run

HERE = Path(__file__).parent
DOCUMENT, PICTURE, FIGURES = "bench-loading.md", "load-speed.svg", "load-speed.json"
_COLUMNS = ", ".join(name for name, _, _ in table.COLUMNS)
# Rows as text: the same for all subjects, whatever types they chose.
CONTENT = (
    f"SELECT count(*), sum(hashtextextended(ROW({_COLUMNS})::text, 0))::text "
    f"FROM {table.SCHEMA}.{table.NAME}"
)


class Bench:
    """A server, the files, and what each edition of them has to look like in the table."""

    def __init__(
        self, server_: server.Server, folder: Path, count: int, editions: Sequence[int] = (0, 1)
    ) -> None:
        self.server = server_
        self.folder = folder
        self.files = [rows.write(folder, count, edition) for edition in editions]
        self.content: dict[int, Any] = {}

    def round(self, subject: Subject) -> dict[str, Trial]:
        """A trial for each operation of a subject, each in a schema of its own.

        Raises RuntimeError when a load fails, or leaves other rows than \\copy does.
        """
        trials = {}
        for operation in subject.operations:
            with tempfile.TemporaryDirectory(dir=self.folder) as kept:
                self.empty()
                if operation != FIRST:
                    self._load(subject, FIRST, Path(kept))
                    # As autovacuum leaves a table that rests; and no checkpoint falls into a load
                    # that an earlier one has caused.
                    loaded = f"{table.SCHEMA}.{table.NAME}"
                    self.server.execute(f"VACUUM ANALYZE {loaded}", "CHECKPOINT")
                trials[operation] = self._load(subject, operation, Path(kept))
        return trials

    def _load(self, subject: Subject, operation: str, kept: Path) -> Trial:
        edition = EDITIONS[operation]
        command = subject.command(operation, self.files[edition], self.server, kept)
        trial = run(command, self.environment, kept)
        self._check(subject, operation, edition)
        return trial

    def empty(self) -> None:
        """No table is there, and all that was is on disk."""
        # dlt has a schema of its own for staging tables.
        for schema in (table.SCHEMA, f"{table.SCHEMA}_staging"):
            self.server.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        self.server.execute(f"CREATE SCHEMA {table.SCHEMA}", "CHECKPOINT")

    @property
    def environment(self) -> dict[str, str]:
        """What every loader's process gets."""
        return {
            **self.server.environment,
            "PYTHONPATH": str(HERE),
            "PGTZ": "UTC",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }

    def _check(self, subject: Subject, operation: str, edition: int) -> None:
        content = self.server.execute(CONTENT)
        if content != self.content.setdefault(edition, content):
            raise RuntimeError(
                f"{subject.name}, {operation}: {content[0][0]} rows, which are not those that "
                f"{SUBJECTS[0].name} loads ({self.content[edition][0][0]})"
            )


def measure(bench: Bench, repeat: int) -> dict[tuple[str, str], list[Trial]]:
    """All trials by operation and subject; the subjects take turns."""
    trials: dict[tuple[str, str], list[Trial]] = {}
    for number in range(repeat):
        for subject in SUBJECTS:
            if subject.rounds is not None and number >= subject.rounds:
                continue
            for operation, trial in bench.round(subject).items():
                trials.setdefault((operation, subject.name), []).append(trial)
                print(
                    f"{number + 1}/{repeat} {subject.name}, {operation}: {trial.load_s:.2f} s, "
                    f"{trial.peak_mib:.0f} MiB",
                    file=sys.stderr,
                )
    return trials


def large(server_: server.Server, folder: Path, count: int) -> dict[str, dict[str, float]]:
    """Seconds and peak memory of one first load of many rows."""
    bench = Bench(server_, folder, count, editions=(0,))
    found = {}
    for subject in SUBJECTS:
        if subject.name in (COPY_KEY, ELT_CSV):
            bench.empty()
            command = subject.command(FIRST, bench.files[0], server_, folder)
            trial = run(command, bench.environment, folder)
            found[subject.name] = {
                "load_s": round(trial.load_s, 2),
                "peak_mib": round(trial.peak_mib, 1),
            }
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpus = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "cpu": cpus[0] if cpus else platform.machine(),
        "memory_gib": round(memory / 1024**3),
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
    }


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="bench/run load_speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5, help="rounds per subject (default 5)")
    parser.add_argument(
        *("--large",), type=int, default=0, metavar="ROWS", help="also load this many rows, once"
    )
    parser.add_argument(
        *("--docs",), type=Path, default=REPOSITORY / "docs", help="where to write (default docs)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    asked = arguments()
    # Ended politely, it still stops its server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    uv = [str(REPOSITORY / "deploy" / "tools" / "uv"), "sync", "--quiet", "--frozen"]
    subprocess.run([*uv, "--project", str(ELT)], check=True)
    with (
        tempfile.TemporaryDirectory(prefix="load-speed-") as name,
        server.running(Path(name)) as running,
    ):
        folder = Path(name)
        bench = Bench(running, folder, asked.rows)
        trials = measure(bench, asked.repeat)
        peers = ("dlt", "adbc-driver-postgresql", "pandas", "sqlalchemy", "pyarrow")
        result: dict[str, Any] = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "machine": machine(),
            "postgres": running.settings(),
            "versions": {peer: importlib.metadata.version(peer) for peer in peers},
            "rows": asked.rows,
            "repeat": asked.repeat,
            "files_mb": {
                kind: round(getattr(bench.files[0], kind).stat().st_size / 1e6, 1)
                for kind in ("csv", "parquet")
            },
            "figures": report.summary(trials, asked.rows),
        }
        if asked.large:
            result |= {"large_rows": asked.large, "large": large(running, folder, asked.large)}
    publish(result, asked.docs)
    print(json.dumps(result, indent=1) if asked.json else report.markdown(result))


def publish(result: dict[str, Any], docs: Path) -> None:
    """Write figures, picture and, where the document is, its tables."""
    docs.mkdir(parents=True, exist_ok=True)
    (docs / FIGURES).write_text(json.dumps(result, indent=1) + "\n")
    title = f"{result['rows']:,} rows x 10 columns into PostgreSQL"
    picture.draw(result["figures"], title, docs / PICTURE)
    if (docs / DOCUMENT).exists():
        text = f"![Seconds and peak memory by subject]({PICTURE})\n\n{report.markdown(result)}"
        put_into(docs / DOCUMENT, "load_speed", text)


if __name__ == "__main__":
    main()

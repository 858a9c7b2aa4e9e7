"""The figures as a table for readers; pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from subjects import EDITIONS, REFERENCES, SUBJECTS
from trial import Trial

# Figures as JSON has them: operation, then subject, then what was measured.
Figures = dict[str, dict[str, dict[str, float]]]


def summary(trials: dict[tuple[str, str], list[Trial]], rows: int) -> Figures:
    """Medians by operation and subject; the peak memory is the highest that was seen."""
    figures: Figures = {operation: {} for operation in EDITIONS}
    for operation, subjects in figures.items():
        for subject in SUBJECTS:
            if found := trials.get((operation, subject.name)):
                seconds = statistics.median(trial.load_s for trial in found)
                subjects[subject.name] = {
                    "load_s": round(seconds, 3),
                    "fastest_s": round(min(trial.load_s for trial in found), 3),
                    "slowest_s": round(max(trial.load_s for trial in found), 3),
                    "rows_per_s": round(rows / seconds),
                    "startup_s": round(statistics.median(t.startup_s for t in found), 2),
                    "peak_mib": round(max(trial.peak_mib for trial in found), 1),
                    "rounds": len(found),
                }
    for operation, subjects in figures.items():
        for reference in REFERENCES[operation]:
            if reference in subjects:
                _compare(subjects, reference)
    return {operation: subjects for operation, subjects in figures.items() if subjects}


def _compare(subjects: dict[str, dict[str, float]], reference: str) -> None:
    seconds = subjects[reference]["load_s"]
    for figures in subjects.values():
        figures[f"times {reference}"] = round(seconds / figures["load_s"], 2)


def markdown(result: dict[str, Any]) -> str:
    """A table for each operation, with the machine and the server above them."""
    parts = [_heading(result)]
    for operation, subjects in result["figures"].items():
        references = [name for name in REFERENCES[operation] if name in subjects]
        head = [
            operation,
            "seconds",
            "rows/s",
            *(f"speed, times {name}" for name in references),
            "peak MiB",
            "start-up s",
        ]
        body = [
            [
                name,
                f"{figures['load_s']:.2f}",
                f"{figures['rows_per_s']:,.0f}",
                *(f"{figures[f'times {reference}']:.2f}" for reference in references),
                f"{figures['peak_mib']:.0f}",
                f"{figures['startup_s']:.1f}",
            ]
            for name, figures in subjects.items()
        ]
        parts.append(_table(head, body))
    if large := result.get("large"):
        body = [[name, f"{f['load_s']:.1f}", f"{f['peak_mib']:.0f}"] for name, f in large.items()]
        parts.append(_table([f"first load of {result['large_rows']:,} rows, once"], body, 2))
    return "\n\n".join(parts)


def _heading(result: dict[str, Any]) -> str:
    machine, files = result["machine"], result["files_mb"]
    settings = ", ".join(f"{name} {value}" for name, value in result["postgres"].items())
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{result['rows']:,} rows of 10 columns (CSV {files['csv']:.0f} MB, Parquet "
        f"{files['parquet']:.0f} MB), medians of {result['repeat']}, {result['date']}. "
        f"{machine['cpus']} CPUs ({machine['cpu']}), {machine['memory_gib']} GiB, "
        f"{machine['system']}. PostgreSQL: {settings}. {versions}."
    )


def _table(head: Sequence[str], body: Sequence[Sequence[str]], more: int = 0) -> str:
    head = [*head, *("seconds", "peak MiB")[:more]]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

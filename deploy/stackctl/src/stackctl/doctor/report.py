"""The results for people: one line per finding, and under what is not well, what mends it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from stackctl.doctor.finding import Level, Result

_MARKS = {
    Level.OK: "[green]✓[/]",
    Level.SKIPPED: "[dim]-[/]",
    Level.WARNING: "[yellow]![/]",
    Level.ERROR: "[red]✗[/]",
}


def show(console: Console, results: Sequence[Result]) -> None:
    """Print all results in their groups, and how many there are of each kind."""
    group = ""
    for result in results:
        if result.group != group:
            group = result.group
            console.print(f"\n[bold]{group}[/]")
        name = result.name
        for one in result.findings:
            console.print(f"  {_MARKS[one.level]} {name:<24}", end="")
            skipped = "not checked: " if one.level is Level.SKIPPED else ""
            console.print(f"{skipped}{one.evidence}", markup=False)
            if one.fix and one.level is not Level.OK:
                console.print(f"{'':29}Fix: {one.fix}", markup=False)
            name = ""
    console.print(f"\n{summary(results)}")


def summary(results: Sequence[Result]) -> str:
    """Such as: 1 error, 2 warnings, 20 checks are well, 3 were not made."""
    findings = [one.level for result in results for one in result.findings]
    errors, warnings = findings.count(Level.ERROR), findings.count(Level.WARNING)
    well = sum(result.level is Level.OK for result in results)
    skipped = sum(result.level is Level.SKIPPED for result in results)
    return ", ".join(
        (
            _count(errors, "error"),
            _count(warnings, "warning"),
            f"{_count(well, 'check')} well",
            f"{skipped} not made",
        )
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

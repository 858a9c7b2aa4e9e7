"""The figures as bars: the same picture, to the byte, from the same figures."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from report import Figures

_OURS, _PEER, _LIMIT = "#2f6fde", "#9aa4b2", "#d8a33a"


def draw(figures: Figures, title: str, path: Path) -> None:
    """One panel of bars for each operation; a bar that would dwarf the others is cut."""
    heights = [len(subjects) + 0.8 for subjects in figures.values()]
    with plt.rc_context({"svg.hashsalt": "load_speed", "font.size": 9}):
        figure, axes = plt.subplots(
            len(figures),
            1,
            figsize=(8, 0.36 * sum(heights) + 0.8),
            gridspec_kw={"height_ratios": heights},
            squeeze=False,
            layout="constrained",
        )
        figure.suptitle(title, fontsize=10)
        for axis, (operation, subjects) in zip(axes[:, 0], figures.items(), strict=True):
            _panel(axis, operation, subjects)
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


def _panel(axis: Axes, operation: str, subjects: dict[str, dict[str, float]]) -> None:
    names = list(subjects)
    seconds = [subjects[name]["load_s"] for name in names]
    limit = _limit(seconds)
    axis.barh(names, [min(s, limit) for s in seconds], color=[_colour(name) for name in names])
    for place, (name, value) in enumerate(zip(names, seconds, strict=True)):
        cut = value > limit
        label = f"{value:.1f} s, {subjects[name]['peak_mib']:.0f} MiB"
        axis.annotate(
            f"{label} (bar cut)" if cut else label,
            (min(value, limit), place),
            xytext=(-4, 0) if cut else (4, 0),
            textcoords="offset points",
            va="center",
            ha="right" if cut else "left",
        )
    axis.set_xlim(0, limit * 1.25)
    axis.invert_yaxis()
    axis.set_title(f"{operation}: seconds, peak memory", loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)


def _limit(seconds: list[float]) -> float:
    """Where bars end: at the slowest, unless it takes three times as long as all others."""
    *others, slowest = sorted(seconds)
    return max(others) if others and slowest > 3 * max(others) else slowest


def _colour(name: str) -> str:
    if name.startswith("elt"):
        return _OURS
    return _LIMIT if name.startswith("psql") else _PEER

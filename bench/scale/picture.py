"""The figures as lines: the same picture, to the byte, from the same figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from report import Figures
from usage import LOCATIONS

_COLOURS = ("#2f6fde", "#d8a33a", "#5aa469", "#9aa4b2")


def draw(figures: Figures, path: Path) -> None:
    """Memory, idle CPU and loading, each by the number of code locations."""
    panels: list[tuple[str, dict[str, Callable[[dict[str, Any]], float]]]] = [
        (
            "memory of all containers, MiB",
            {"": lambda each: sum(each["memory_mib"].values())},
        ),
        (
            "idle CPU of all containers, % of a core",
            {
                "": lambda each: sum(
                    used for part, used in each["idle_cpu_percent"].items() if part != "engine"
                ),
                "code servers": lambda each: float(each["idle_cpu_percent"][LOCATIONS]),
                "daemon and webserver": lambda each: (
                    float(each["idle_cpu_percent"]["daemon"])
                    + float(each["idle_cpu_percent"]["webserver"])
                ),
            },
        ),
        (
            "from start to all locations loaded, CPU s",
            {
                "webserver": lambda each: float(each["webserver_load_cpu_s"]),
                "daemon": lambda each: float(each["daemon_load_cpu_s"]),
            },
        ),
    ]
    with plt.rc_context({"svg.hashsalt": "scale", "font.size": 9}):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(11, 3.4), squeeze=False, layout="constrained"
        )
        if not all(each["quiet"] for each in figures):
            figure.suptitle("CPU: while others worked on the machine", fontsize=9)
        for axis, (title, lines) in zip(axes[0], panels, strict=True):
            _panel(axis, figures, lines)
            axis.set_title(title, loc="left", fontsize=9)
            axis.set_xlabel("code locations")
            axis.set_xlim(left=0)
            axis.set_ylim(bottom=0)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(frameon=False, fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


def _panel(
    axis: Axes, figures: Figures, lines: dict[str, Callable[[dict[str, Any]], float]]
) -> None:
    for colour, (line, value) in zip(_COLOURS, lines.items(), strict=False):
        for standby, style in zip(
            sorted({each["standby"] for each in figures}), "-:", strict=False
        ):
            same = [each for each in figures if each["standby"] == standby]
            label = f"{line or 'all'}, standby {standby}"
            places = [each["locations"] for each in same]
            axis.plot(
                places, [value(each) for each in same], style, marker="o", color=colour, label=label
            )

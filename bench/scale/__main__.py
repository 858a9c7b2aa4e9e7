"""Where one machine ends: many code locations of one image, idle, under steady runs, in a burst.

    bench/run scale [--locations 10 25 50] [--assets 100] [--standby 0 1] [--full]

Each configuration is a stack of its own with synthetic code locations alone. Prints a table;
writes scaling.json, scaling.svg and the table of scaling.md in the folder of --docs. A
configuration that was measured before is replaced, the others stay. On a machine that did
something else meanwhile, times are kept in scaling.json and left out of the table.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import picture
import report
from document import put_into
from harness import REPOSITORY
from measure import Load, measure
from scale_stack import ScaleStack, running
from synthetic_project import Size

FIGURES, PICTURE, DOCUMENT = "scaling.json", "scaling.svg", "scaling.md"
FULL = Load(runs=1000, over_s=3600, burst=100, idle_s=300)
SHORT = Load(runs=60, over_s=180, burst=20, idle_s=60)


def machine() -> str:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = names[0] if names else platform.machine()
    return f"{os.cpu_count()} CPUs ({cpu}), {memory:.0f} GiB, Linux {platform.release()}"


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="bench/run scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--locations", type=int, nargs="+", default=[10, 25, 50])
    parser.add_argument("--assets", type=int, default=100, help="of each location (default 100)")
    parser.add_argument(
        "--standby", type=int, nargs="+", default=[0, 1], help="workers per location"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="1,000 runs in an hour, then 100 at once (default 60, 20)",
    )
    parser.add_argument("--runs", type=int, help="how many runs at a steady rate")
    parser.add_argument("--over", type=float, metavar="SECONDS", help="in how many seconds")
    parser.add_argument("--burst", type=int, help="how many runs at once")
    parser.add_argument(
        "--keep", metavar="FOLDER", type=Path, help="work there; leave the stack up"
    )
    parser.add_argument(
        *("--docs",), type=Path, default=REPOSITORY / "docs", help="where to write (default docs)"
    )
    return parser.parse_args()


def load_of(asked: argparse.Namespace) -> Load:
    """The runs that were asked for."""
    form = FULL if asked.full else SHORT
    return Load(
        runs=form.runs if asked.runs is None else asked.runs,
        over_s=form.over_s if asked.over is None else asked.over,
        burst=form.burst if asked.burst is None else asked.burst,
        idle_s=form.idle_s,
    )


def publish(found: dict[str, Any], docs: Path) -> list[dict[str, Any]]:
    """Write the figures with these in them, the picture, and the table; all figures."""
    docs.mkdir(parents=True, exist_ok=True)
    file = docs / FIGURES
    before = json.loads(file.read_text()) if file.exists() else []
    figures = report.merged(before, found)
    file.write_text(json.dumps(figures, indent=1) + "\n")
    picture.draw(figures, docs / PICTURE)
    if (document := docs / DOCUMENT).exists():
        text = f"![Memory and idle CPU by number of code locations]({PICTURE})\n\n"
        put_into(document, "scale", text + report.markdown(figures))
    return figures


def main() -> None:
    """Measure, print, write."""
    asked = arguments()
    # Ended politely, it still removes its stack.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    figures: list[dict[str, Any]] = []
    for locations, standby in itertools.product(asked.locations, asked.standby):
        size = Size(locations, asked.assets, standby)
        print(size, file=sys.stderr)
        folder = asked.keep or Path(tempfile.mkdtemp(prefix="scale-"))
        stack = ScaleStack.of(folder, size)
        with running(stack, keep=bool(asked.keep)):
            found = measure(stack, load_of(asked))
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        figures = publish({"date": today, "machine": machine(), **found}, asked.docs)
    print(report.markdown(figures))


if __name__ == "__main__":
    main()

"""dagster-webserver, whose calls go to one server while a release is switched."""

from __future__ import annotations

from control_plane.internals.webserver import main
from control_plane.one_order import keep_one_order
from control_plane.unreadable_runs import read_around_unreadable_runs

if __name__ == "__main__":
    keep_one_order()
    read_around_unreadable_runs()
    main()  # type: ignore[no-untyped-call]

"""dagster-webserver, whose calls go to one server while a release is switched, and which reads a
step's log in its location's folder alone."""

from __future__ import annotations

from dagster_webserver.cli import main

from control_plane import step_logs
from control_plane.one_order import keep_one_order

if __name__ == "__main__":
    keep_one_order()
    step_logs.keep_apart()
    main()  # type: ignore[no-untyped-call]

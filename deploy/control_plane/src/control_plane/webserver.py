"""dagster-webserver, whose calls go to one server while a release is switched, which reads a step's
log in its location's folder alone, and which bounds what a query costs."""

from __future__ import annotations

from control_plane import imports  # isort: split

from control_plane import step_logs
from control_plane.internals.webserver import main, shown_to_the_user
from control_plane.kept_connections import keep_connections_to_code_servers
from control_plane.one_end import end_runs_once
from control_plane.one_order import keep_one_order
from control_plane.planned_events import write_planned_events_at_once
from control_plane.query_limits import limit_queries
from control_plane.run_writes import write_runs_whole
from control_plane.unreadable_runs import read_around_unreadable_runs

if __name__ == "__main__":
    imports.done()
    keep_one_order()
    keep_connections_to_code_servers()
    read_around_unreadable_runs()
    write_runs_whole(shown_to_the_user)
    write_planned_events_at_once()
    end_runs_once()
    step_logs.keep_apart()
    limit_queries()
    main()  # type: ignore[no-untyped-call]

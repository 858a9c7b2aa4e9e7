"""dagster-webserver, whose calls go to one server while a release is switched."""

from __future__ import annotations

from control_plane.internals.webserver import main
from control_plane.one_order import keep_one_order

if __name__ == "__main__":
    keep_one_order()
    main()  # type: ignore[no-untyped-call]

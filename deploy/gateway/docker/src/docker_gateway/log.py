"""One line of JSON for each call that is refused, and for each failure of the gateway's own."""

from __future__ import annotations

import json
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_MOST_TEXT = 300


def refused(
    caller: str, method: str, path: str, status: int, reason: str, milliseconds: float
) -> None:
    """A call that was not forwarded."""
    _write(
        client=caller,
        method=method[:20],
        path=path.partition("?")[0][:_MOST_TEXT],
        status=status,
        reason=reason,
        ms=round(milliseconds),
    )


def failed(caller: str, reason: str) -> None:
    """A failure of the gateway's own, with its traceback."""
    _write(client=caller, status=500, reason=reason, traceback=traceback.format_exc())


def _write(**fields: Any) -> None:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(json.dumps({"time": now, **fields}), file=sys.stdout, flush=True)

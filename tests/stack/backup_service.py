"""What the stack's backup service has made."""

from __future__ import annotations

import json
from typing import Any

from harness import Stack


def listed(stack: Stack) -> dict[str, Any]:
    """All backups and the last results."""
    found: dict[str, Any] = json.loads(
        stack.run("deploy/stackctl/stackctl", "backups", "--json").splitlines()[-1]
    )
    return found

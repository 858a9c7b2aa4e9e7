"""Imported first by programs that run for long: until `done()`, no garbage is looked for.

Importing Dagster makes hundreds of thousands of objects and no garbage. Looking through them again
and again is a fifth of the CPU time that a start takes.
"""

from __future__ import annotations

import gc

gc.disable()


def done() -> None:
    """What has been imported stays to the end: from now on, garbage is looked for beside it."""
    gc.freeze()
    gc.enable()

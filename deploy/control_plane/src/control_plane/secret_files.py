"""Files that their owner alone may read. Standard library only, for the image of the secrets."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str, owner: int | None) -> None:
    """Replace ``path`` in one step by a file of mode 0400; ``owner`` is a uid, None the caller's.

    A reader never sees half of it.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if owner is not None:
        os.chown(temporary, owner, owner)
    temporary.replace(path)

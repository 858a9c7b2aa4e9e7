"""What was done last and how it ended, in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backup.catalog import write_json


@dataclass(frozen=True)
class Results:
    """Entries by name, in one JSON file."""

    file: Path

    def read(self) -> dict[str, Any]:
        """Empty before the first result."""
        found: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}
        return found

    def note(self, **entries: Any) -> dict[str, Any]:
        """Change entries; all that there are now."""
        now = self.read() | entries
        write_json(self.file, now)
        return now

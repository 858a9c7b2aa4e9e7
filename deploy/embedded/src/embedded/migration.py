"""Whether databases, roles and storage are what this checkout needs: by a fingerprint.

`control-plane migrate` is idempotent but costs seconds of every start, mostly imports.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from embedded.plan import Plan


@dataclass(frozen=True)
class Fingerprint:
    """What `migrate` reads, as one hash, and the file that holds the last applied one."""

    value: str
    file: Path

    @classmethod
    def of(cls, plan: Plan) -> Fingerprint:
        """Over code, versions, SQL, pools, passwords and locations; any change: migrate again."""
        control_plane = plan.paths.root / "deploy" / "control_plane"
        files = [
            plan.paths.project / "uv.lock",
            *sorted(file for file in plan.paths.sql.rglob("*") if file.is_file()),
            *sorted((control_plane / "src").rglob("*.py")),
            *sorted(plan.paths.secrets.glob("*_password")),
        ]
        digest = hashlib.sha256(plan.location_names.encode())
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
        # Beside the database, so that the two can only be deleted together.
        return cls(digest.hexdigest(), plan.home.folder / "migrated")

    def is_recorded(self) -> bool:
        """True when the database has been brought to exactly this state."""
        try:
            return self.file.read_text() == self.value
        except OSError:
            return False

    def record(self) -> None:
        """Remember that it has."""
        self.file.write_text(self.value)

"""What the metrics exporter is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backup import making
from backup.catalog import Catalog


def test_times_and_results_and_no_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = tmp_path / "status"
    monkeypatch.setattr(making, "SHOWN", shown)
    (tmp_path / "backups").mkdir()
    catalog = Catalog(tmp_path / "backups")
    failure = {"time": "2026-11-27T01:30:00+00:00", "error": "of the test"}
    making.note(catalog, last_failure=failure)
    shown.mkdir()
    making.note(catalog, last_success={"ended": "2026-11-26T01:30:00+00:00", "id": "1"})
    found = json.loads((shown / "status.json").read_text())
    assert found["last_success"] == "2026-11-26T01:30:00+00:00"
    assert found["last_failure"] == "2026-11-27T01:30:00+00:00"
    assert found["rehearsal"] is None and found["rehearsal_ok"] is None
    assert "of the test" not in str(found)
    making.note(catalog, last_failure=None, rehearsal={"time": "2026-11-27", "ok": True})
    found = json.loads((shown / "status.json").read_text())
    assert (found["last_failure"], found["rehearsal_ok"]) == (None, True)

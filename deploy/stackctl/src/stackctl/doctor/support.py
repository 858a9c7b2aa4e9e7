"""The archive for a question: what is known of the stack, without its secrets."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stackctl import mode
from stackctl.docker import docker
from stackctl.doctor.facts import Facts, has_secrets
from stackctl.doctor.finding import NotApplicableError
from stackctl.doctor.redaction import Redactor, is_secret_name
from stackctl.errors import StackctlError

_LINES = 400
_CONTAINERS = 60
# Variables of services and images that hold no secrets, beside the settings in .env.example.
# By name alone: a variable that somebody adds is not shown.
_SHOWN = frozenset(
    """
    AWS_ACCESS_KEY_ID_FILE AWS_DEFAULT_REGION AWS_ENDPOINT_URL_S3 AWS_SECRET_ACCESS_KEY_FILE
    CREATED DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR DAGSTER_COMPUTE_LOGS_DIR
    DAGSTER_CURRENT_IMAGE DAGSTER_DISABLE_TELEMETRY DAGSTER_HOME DAGSTER_IMAGE_REPOSITORY
    DAGSTER_LOCATION_NAME DAGSTER_MODULE_NAME DAGSTER_POSTGRES_DB DAGSTER_POSTGRES_HOST
    DAGSTER_POSTGRES_PASSWORD_FILE DAGSTER_POSTGRES_PORT DAGSTER_POSTGRES_USER
    DAGSTER_STORAGE_DIR DOCKER_HOST HAPROXY_IMAGE HAPROXY_VERSION LANG LOCATION MALLOC_ARENA_MAX
    OUTSIDE_SUBNET PATH PGDATA PIP_CERT PYTHONDONTWRITEBYTECODE REQUESTS_CA_BUNDLE PG_MAJOR
    PG_VERSION POSTGRES_HOST POSTGRES_INITDB_ARGS POSTGRES_PASSWORD_FILE POSTGRES_PORT
    PYTHONPATH PYTHON_VERSION PYTHONUNBUFFERED REVISION S3_BUCKET SSL_CERT_DIR SSL_CERT_FILE
    SSO_ADDRESS TZ UV_SYSTEM_CERTS WAREHOUSE_DB WAREHOUSE_HOST WAREHOUSE_PASSWORD_FILE
    WAREHOUSE_PORT WAREHOUSE_USER WEBSERVER_ADDRESS WEBSERVER_URL WEBSERVER_VIEWER_ADDRESS
    WEB_INSIDE_ADDRESS
    """.split()  # noqa: SIM905  # a list would take sixty lines
)


@dataclass
class Archive:
    """Files that are cleaned as they are added; there is no other way in."""

    redactor: Redactor
    files: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str) -> None:
        """Add a text without its secrets."""
        self.files[name] = self.redactor.clean(text)

    def add_data(self, name: str, data: Any) -> None:
        """Add data, with environments in it filtered."""
        self.add(name, json.dumps(self.redactor.filtered(data), indent=1, default=str))

    def add_answer(self, name: str, ask: Callable[[], str | Any]) -> None:
        """Add what is answered; why there is no answer is one, too."""
        try:
            answer = ask()
        except (StackctlError, NotApplicableError, OSError) as why:
            answer = f"not available: {why}\n"
        if isinstance(answer, str):
            self.add(name, answer)
        else:
            self.add_data(name, answer)


def write(facts: Facts, found: Mapping[str, Any]) -> Path:
    """Write the archive into .artifacts, for its owner alone; its path."""
    archive = Archive(redactor(facts))
    collect(facts, archive, found)
    folder = facts.root / ".artifacts"
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    name = f"support-{now:%Y%m%d-%H%M%S}"
    path = folder / f"{name}.tar.gz"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as packed:
        for inner, text in sorted(archive.files.items()):
            content = text.encode()
            entry = tarfile.TarInfo(f"{name}/{inner}")
            entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
            packed.addfile(entry, io.BytesIO(content))
    return path


def redactor(facts: Facts) -> Redactor:
    """One that knows every secret that can be read here."""
    known = Redactor(facts.known_settings | _SHOWN)
    settings = dict(facts.env_lines)
    known.learn_environment(settings)
    known.learn_environment({n: v for n, v in os.environ.items() if is_secret_name(n)})
    for path in {settings.get("NETRC", ""), os.environ.get("NETRC", "")} - {""}:
        # One that cannot be read cannot be anywhere in what follows, either.
        with contextlib.suppress(OSError):
            known.learn_netrc((facts.root / path).expanduser().read_text())
    if facts.mode == mode.EMBEDDED:
        for file in sorted((facts.root / ".dev" / "secrets").glob("*")):
            known.learn_file(file.read_text())
        return known
    with contextlib.suppress(StackctlError, NotApplicableError):
        for service in facts.all_services.values():
            known.learn_environment(_pairs(service.get("environment") or {}))
            known.learn_environment(_pairs((service.get("build") or {}).get("args") or {}))
    with contextlib.suppress(StackctlError, NotApplicableError):
        for one in [*facts.containers, *facts.run_containers]:
            known.learn_environment(_pairs(one["Config"]["Env"] or []))
        for id_ in [one["Id"] for one in facts.containers if has_secrets(one)]:
            # Where they cannot be read, the container's log is left out.
            with contextlib.suppress(StackctlError):
                for secret in facts.secret_files(id_):
                    known.learn_file(secret.content)
    return known


def _pairs(environment: Any) -> dict[str, str]:
    if isinstance(environment, dict):
        return {name: str(value or "") for name, value in environment.items()}
    return dict(str(one).partition("=")[::2] for one in environment)


def collect(facts: Facts, archive: Archive, found: Mapping[str, Any]) -> None:
    """All that goes into the archive."""
    archive.add_data("doctor.json", found)
    archive.add("settings.txt", _settings(facts, archive.redactor))
    for name in ("dagster.yaml", "workspace.yaml", "docker-compose.yml"):
        archive.add_answer(name, partial(_as_data, facts.root / name))
    archive.add_answer("state.json", lambda: facts.state)
    if facts.mode == mode.EMBEDDED:
        for file in sorted((facts.root / ".dev" / "logs").glob("*.log")):
            lines = file.read_text(errors="replace").splitlines()[-_LINES:]
            archive.add(f"logs/{file.name}", "\n".join(lines))
        archive.add_data("processes.json", facts.processes)
        return
    for name, command in {
        "docker-version.txt": ("version",),
        "compose-version.txt": ("compose", "version"),
        "build-cache.txt": ("buildx", "du"),
        "ps.txt": ("compose", "ps", "--all"),
        "networks.txt": ("network", "ls"),
        "images.txt": ("image", "ls"),
    }.items():
        archive.add_answer(name, partial(docker, *command, seconds=60))
    archive.add_answer("docker-info.json", lambda: facts.info)
    archive.add_answer("compose-config.json", lambda: facts.stack.config)
    archive.add_answer("inspect.json", lambda: [*facts.containers, *facts.run_containers])
    for name, text in _logs(facts):
        archive.add(f"logs/{name}.log", text)


def _settings(facts: Facts, redactor: Redactor) -> str:
    shown = redactor.environment(dict(facts.env_lines))
    lines = [f"{name}={value}" for name, value in shown.items()]
    return "\n".join(["# .env, without comments; unknown and secret values removed", *lines, ""])


def _as_data(path: Path) -> Any:
    """A YAML file as data, so that its environments are filtered, and without comments."""
    try:
        return YAML(typ="safe").load(path.read_text())
    except YAMLError as problem:
        # Its lines are not shown: they may be a password.
        return f"not valid YAML: {type(problem).__name__}\n"


def _logs(facts: Facts) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(StackctlError, NotApplicableError):
        latest = sorted(facts.run_containers, key=lambda one: str(one["Created"]), reverse=True)
        for one in [*facts.containers, *latest[:_CONTAINERS]]:
            name = str(one["Name"]).removeprefix("/")
            try:
                if has_secrets(one):
                    facts.secret_files(str(one["Id"]))  # or what it printed could not be told
                text = docker_logs(str(one["Id"]))
            except StackctlError as why:
                text = f"not available: {why}\n"
            yield name, text


def docker_logs(container: str) -> str:
    """The last lines of a container, of both its streams."""
    done = subprocess.run(
        ["docker", "logs", "--timestamps", f"--tail={_LINES}", container],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=60,
    )
    return done.stdout.decode(errors="replace")

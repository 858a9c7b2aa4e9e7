"""Checks of .env, the compose file, and files with secrets."""

from __future__ import annotations

import difflib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from stackctl.docker import DockerError
from stackctl.doctor import settings_file
from stackctl.doctor.facts import Facts, SecretFile, has_secrets
from stackctl.doctor.finding import BOTH, Finding, NotApplicableError, check, error, ok, warning
from stackctl.mode import DOCKER

GROUP = "Configuration"
# What docker, Compose and BuildKit read themselves.
_OF_DOCKER = ("COMPOSE_", "DOCKER_", "BUILDX_", "BUILDKIT_")


def _lacks(*names: str) -> Callable[[Mapping[str, str]], bool]:
    return lambda env: not any(env.get(name) for name in names)


def _without_profile(profile: str) -> Callable[[Mapping[str, str]], bool]:
    return lambda env: profile not in env.get("COMPOSE_PROFILES", "").split(",")


_WITHOUT_SSO = _without_profile("sso")
_WITHOUT_INDEX = _lacks("UV_DEFAULT_INDEX", "PIP_INDEX_URL")
# Settings that do nothing by themselves: when, and what they need.
NEEDS: dict[str, tuple[Callable[[Mapping[str, str]], bool], str]] = {
    "WAREHOUSE_PORT": (_without_profile("warehouse"), "COMPOSE_PROFILES=warehouse"),
    **dict.fromkeys(
        ("SSO_CLIENT_ID", "SSO_EMAIL_DOMAINS", "SSO_GROUPS", "SSO_SCOPE", "SSO_SESSION"),
        (_WITHOUT_SSO, "COMPOSE_PROFILES=viewers,sso"),
    ),
    "SSO_GROUPS_CLAIM": (_WITHOUT_SSO, "COMPOSE_PROFILES=viewers,sso"),
    "SSO_ISSUER": (_WITHOUT_SSO, "COMPOSE_PROFILES=viewers,sso"),
    "SSO_EDITORS": (_lacks("SSO_ISSUER"), "SSO_ISSUER"),
    "SSO_EDITOR_GROUPS": (_lacks("SSO_ISSUER"), "SSO_ISSUER"),
    "WEB_TRUSTED_PROXIES": (_lacks("WEB_HOSTS"), "WEB_HOSTS, the names under which it is reached"),
    **dict.fromkeys(
        ("BACKUP_SCHEDULE", "BACKUP_REHEARSAL_SCHEDULE", "BACKUP_KEEP", "BACKUPS"),
        (_without_profile("backup"), "COMPOSE_PROFILES=backup"),
    ),
    "BACKUP_REPOSITORY": (_without_profile("offsite"), "COMPOSE_PROFILES=backup,offsite"),
    **dict.fromkeys(
        ("BACKUP_OFFSITE_EVERY_MIN", "BACKUP_OFFSITE_KEEP_DAYS"),
        (_lacks("BACKUP_REPOSITORY"), "BACKUP_REPOSITORY"),
    ),
    "NO_PROXY": (_lacks("HTTP_PROXY", "HTTPS_PROXY"), "HTTP_PROXY or HTTPS_PROXY"),
    "NETRC": (_WITHOUT_INDEX, "UV_DEFAULT_INDEX or PIP_INDEX_URL, the mirror that asks for them"),
    **dict.fromkeys(
        ("LANDING_ZONE_ENDPOINT", "LANDING_ZONE_REGION"),
        (
            lambda env: env.get("LANDING_ZONE", "").startswith("file:"),
            "LANDING_ZONE=s3://...; a folder has neither",
        ),
    ),
    **dict.fromkeys(
        ("USERS_API_NEXT_PATH", "USERS_API_PAGE_PARAM", "USERS_API_FIRST_PAGE"),
        (
            lambda env: env.get("USERS_API_PAGINATION", "none") == "none",
            "USERS_API_PAGINATION other than none",
        ),
    ),
}


@check("compose file", GROUP)
def compose_file(facts: Facts) -> Iterator[Finding]:
    """docker-compose.yml with .env is valid."""
    try:
        count = len(facts.stack.config["services"])
    except DockerError as problem:  # there is a docker command, and it refuses
        yield error(str(problem), "correct the line in .env or docker-compose.yml")
        return
    yield ok(f"valid: {count} services, stack {facts.stack.project}")


@check("unknown settings", GROUP, BOTH)
def unknown_settings(facts: Facts) -> Iterator[Finding]:
    """Each setting in .env is one that something reads."""
    if not facts.env_lines:
        yield ok("no settings in .env: the defaults apply")
        return
    read = facts.known_settings | settings_file.used(facts.compose_text)
    found = list(unknown([name for name, _ in facts.env_lines], read))
    yield from found or [ok(f"{len(facts.env_lines)} settings in .env")]


def unknown(names: list[str], read: set[str]) -> Iterator[Finding]:
    """Settings that nothing reads, and those that are there twice. Values are not shown."""
    for name, count in Counter(names).items():
        if name not in read and not name.startswith(_OF_DOCKER):
            near = difflib.get_close_matches(name.upper(), read, 1, 0.8)
            meant = f": is {near[0]} meant?" if near else ""
            yield warning(
                f"{name} in .env is unknown{meant}",
                f"remove it, or write {near[0]}" if near else "remove it; .env.example has all",
            )
        if count > 1:
            yield warning(f"{name} is in .env {count} times; the last one counts", "remove others")


@check("settings without effect", GROUP, BOTH)
def without_effect(facts: Facts) -> Iterator[Finding]:
    """No setting needs another one that is missing, or is overridden by the shell."""
    found = [*idle(facts.env), *overridden(dict(facts.env_lines), os.environ)]
    if facts.mode == DOCKER:
        profiles = {
            profile
            for service in facts.all_services.values()
            for profile in service.get("profiles") or []
        }
        found += unknown_profiles(facts.env.get("COMPOSE_PROFILES", ""), profiles)
    yield from found or [ok("none")]


def idle(env: Mapping[str, str]) -> Iterator[Finding]:
    """Settings that have no effect because another one is missing."""
    for name, (is_idle, needed) in NEEDS.items():
        if env.get(name) and is_idle(env):
            yield warning(
                f"{name} has no effect: it needs {needed}", "set both, or remove it; .env"
            )


def overridden(env: Mapping[str, str], shell: Mapping[str, str]) -> Iterator[Finding]:
    """Settings of .env for which the shell has another value. Values are not shown."""
    for name, value in env.items():
        if name in shell and shell[name] != value:
            yield warning(
                f"{name} has another value in this shell, which wins over .env", f"unset {name}"
            )


def unknown_profiles(text: str, known: set[str]) -> Iterator[Finding]:
    """Profiles that no service has."""
    for name in filter(None, (one.strip() for one in text.split(","))):
        if name not in known and name != "*":
            yield warning(
                f"COMPOSE_PROFILES names {name}, which no service has",
                f"there are: {', '.join(sorted(known))}",
            )


@check("secret files", GROUP, BOTH)
def secret_modes(facts: Facts) -> Iterator[Finding]:
    """Files with secrets are read by their owner alone."""
    found = [
        _mode(Path(path), setting)
        for setting in ("NETRC",)
        if (path := facts.env.get(setting)) and Path(path).is_file()
    ]
    if facts.mode == DOCKER:
        found += _in_containers(facts)
    else:
        folder = facts.root / ".dev" / "secrets"
        found += [_mode(path, "embedded mode") for path in sorted(folder.glob("*"))]
    if not found:
        raise NotApplicableError("there are no secrets yet")
    problems = [one for one in found if one.fix]
    yield from problems or [ok(f"{len(found)} files, each for its owner alone")]


def _mode(path: Path, what: str) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return warning(f"{path} ({what}) has mode {mode:o}: others read it", f"chmod 600 {path}")
    return ok(str(path))


def _in_containers(facts: Facts) -> list[Finding]:
    return [
        finding
        for service in facts.stack.config["services"]
        for one in facts.of_service(service)[:1]
        if has_secrets(one)
        for finding in modes(service, facts.secret_files(one["Id"]))
    ]


def modes(service: str, files: Iterable[SecretFile]) -> list[Finding]:
    """Whether others than the owner may read a service's secrets."""
    return [
        warning(
            f"{one.name} in {service} has mode {one.mode:o}: others in the container read it",
            "make up writes it again, of mode 400",
        )
        if one.mode & 0o037
        else ok(one.name)
        for one in files
    ]

"""No secret is in what an archive for a question holds: marked ones, in every spelling."""

from __future__ import annotations

import base64
import json
import stat
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from stackctl.doctor import support
from stackctl.doctor.facts import Facts
from stackctl.doctor.redaction import REMOVED, Redactor, is_secret_name

SECRET = 'Mark/3d&+ü$Z9~q7"x'


def spellings(secret: str) -> dict[str, str]:
    """Ways in which programs print a secret, alone and inside of something longer."""
    raw = secret.encode()
    return {
        "plain": secret,
        "quoted": quote(secret),
        "quoted in full": quote(secret, safe=""),
        "form": quote_plus(secret),
        "json": json.dumps(secret),
        "hex": raw.hex(),
        "base64": base64.b64encode(raw).decode(),
        "base64 for URLs": base64.urlsafe_b64encode(raw).decode(),
        "basic 0": base64.b64encode(b"abc:" + raw + b"\n").decode(),
        "basic 1": base64.b64encode(b"abcd:" + raw + b" z").decode(),
        "basic 2": base64.b64encode(b"abcde:" + raw).decode(),
    }


@pytest.mark.parametrize("spelling", spellings(SECRET))
def test_a_known_secret_is_removed_in_each_spelling(spelling: str) -> None:
    redactor = Redactor([])
    redactor.learn(SECRET)
    written = spellings(SECRET)[spelling]
    cleaned = redactor.clean(f"before {written} after")
    assert REMOVED in cleaned and cleaned.startswith("before ") and cleaned.endswith(" after")
    # Whatever is left of it shows no four characters of it.
    left = cleaned.replace(REMOVED, "")
    assert not any(written[at : at + 6] in left for at in range(3, len(written) - 9))


@pytest.mark.parametrize("secret", ["aaaaaaaa", "12345678", "p$ss \\w/rd+ü", SECRET * 3])
def test_a_secret_in_base64_at_any_place(secret: str) -> None:
    redactor = Redactor([])
    redactor.learn(secret)
    for before in range(7):
        for after in range(7):
            raw = b"u" * before + secret.encode() + b"z" * after
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                written = encode(raw).decode()
                left = redactor.clean(f"x {written} y")
                assert REMOVED in left
                assert len(left) < len(f"x {REMOVED} y") + before * 2 + after * 2 + 8


@pytest.mark.parametrize(
    "line",
    [
        "postgresql://elt:MARK@postgres:5432/warehouse failed",
        "proxy http://user:p@MARK@proxy:3128/ refused",
        "https://MARK@mirror.example.com/simple",
        'password=MARK, "api_key": "MARK"',
        "PGPASSWORD=MARK psql",
        "--client-secret=MARK",
        "AWS_SECRET_ACCESS_KEY: MARK",
        '{\\"token\\": \\"MARK\\"}',
        "Authorization: Bearer MARK",
        "proxy-authorization: Basic MARKMARK",
        "machine mirror login me password MARK",
        "-----BEGIN EC PRIVATE KEY-----\nMARK\nMARK\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMARK and the log ends",
    ],
)
def test_an_unknown_secret_is_removed_where_its_place_gives_it_away(line: str) -> None:
    cleaned = Redactor([]).clean(line.replace("MARK", "m4rk3d7Value"))
    assert "m4rk3d7Value" not in cleaned
    assert REMOVED in cleaned


@pytest.mark.parametrize(
    "line",
    [
        "GET http://localhost:3000/graphql 200",
        "s3://landing/orders.csv@v2",
        "DAGSTER_POSTGRES_PASSWORD_FILE=/run/secrets/elt_password",
        "3 tokens were counted; password authentication failed for user elt",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    redactor = Redactor([])
    redactor.learn("", "abc", "true", "postgres")
    assert redactor.clean(line) == line


def test_short_secrets_are_removed_as_words() -> None:
    redactor = Redactor([])
    redactor.learn("tiger")
    assert redactor.clean("tiger tigers 'tiger'") == f"{REMOVED} tigers '{REMOVED}'"


def test_names_of_secrets() -> None:
    secret = ("MY_PASSWORD", "API_KEY", "GITHUB_TOKEN", "DB_DSN", "client_secret", "SSH_PRIVATE")
    assert all(map(is_secret_name, secret))
    assert not any(
        map(is_secret_name, ("WEBSERVER_PORT", "WAREHOUSE_PASSWORD_FILE", "RPC_SUBNETS"))
    )


def test_environments_show_the_values_of_known_names_alone() -> None:
    data = {
        "Config": {"Env": ["PATH=/bin", "OWN=planted", "PATH_TOKEN=planted"]},
        "services": {"elt": {"environment": {"PATH": "/bin", "OWN": "planted"}}},
        "x-own-environment": {"OWN": "planted"},
        "build": {"args": {"OWN": "planted", "PATH": None}},
        "client_secret": "planted",
    }
    shown = Redactor(["PATH", "PATH_TOKEN"]).filtered(data)
    assert "planted" not in json.dumps(shown)
    assert shown["Config"]["Env"][0] == "PATH=/bin"
    assert shown["services"]["elt"]["environment"] == {"PATH": "/bin", "OWN": REMOVED}


class Embedded(Facts):
    """A checkout in the embedded mode that has never run."""

    @property
    def state(self) -> dict[str, Any]:
        return {"failing": [{"error": "login with planted-in-a-secret-file failed"}]}


def test_the_archive_has_no_planted_secret(tmp_path: Path) -> None:
    planted = {
        "file": "planted-in-a-secret-file",
        "env": "planted-in-the-settings",
        "url": "planted%2Din.a.url",
        "netrc": "planted-in-netrc",
    }
    (tmp_path / ".env.example").write_text("#WEBSERVER_PORT=3000\n#HTTP_PROXY=\n#NETRC=\n")
    (tmp_path / ".env").write_text(
        f"WEBSERVER_PORT=3001\nOWN_TOKEN={planted['env']}\nNETRC=netrc\n"
        f"HTTP_PROXY=http://me:{planted['url']}@proxy:3128\n"
    )
    (tmp_path / "netrc").write_text(f"machine m\n  login me\n  password {planted['netrc']}\n")
    secrets, logs = tmp_path / ".dev" / "secrets", tmp_path / ".dev" / "logs"
    secrets.mkdir(parents=True)
    logs.mkdir()
    (secrets / "elt_password").write_text(planted["file"] + "\n")
    lines: list[str] = []
    for one in planted.values():
        lines += spellings(one).values()
    (logs / "daemon.log").write_text("\n".join(["first", *lines, "last"]))
    for name in ("dagster.yaml", "workspace.yaml"):
        (tmp_path / name).write_text(
            f"storage: {{password: {planted['env']}}}\n# {planted['file']}\n"
        )
    facts = Embedded("embedded", tmp_path)
    path = support.write(facts, {"checks": [{"evidence": planted["env"]}]})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        files = {
            member.name.partition("/")[2]: archive.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in archive
        }
    assert {"doctor.json", "settings.txt", "dagster.yaml", "state.json", "logs/daemon.log"} <= set(
        files
    )
    everything = "\n".join(files.values())
    for one in [*planted.values(), "planted-in.a.url"]:
        for written in (
            one,
            base64.b64encode(one.encode()).decode(),
            quote_plus(one),
            one.encode().hex(),
        ):
            assert written not in everything, (one, written)
    assert "planted" not in everything
    assert files["logs/daemon.log"].startswith("first\n") and files["logs/daemon.log"].endswith(
        "last"
    )
    assert "WEBSERVER_PORT=3001" in files["settings.txt"]
    assert f"OWN_TOKEN={REMOVED}" in files["settings.txt"]

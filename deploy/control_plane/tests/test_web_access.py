"""Users of the web gateway, and its certificate."""

from __future__ import annotations

import io
import stat
import subprocess
from pathlib import Path

import pytest

from control_plane.errors import StackError
from control_plane.secret_files import write
from control_plane.web_access import (
    CERTIFICATE_FILE,
    EDITORS_FILE,
    SSO_FILE,
    USERS_FILE,
    hash_password,
    keep_editors,
    keep_users,
    main,
    names,
    renew_certificate,
    with_user,
    without_user,
)

PASSWORD = "correct horse battery"


def test_users_are_added_changed_and_removed() -> None:
    users = with_user("", "alice", "viewer", "$6$a")
    users = with_user(users, "al", "editor", "$6$b")
    assert users.startswith("userlist people\n    group viewer\n    group editor\n")
    assert names(users) == [("alice", "viewer"), ("al", "editor")]
    users = with_user(users, "alice", "editor", "$6$c")
    assert names(users) == [("al", "editor"), ("alice", "editor")]
    assert "$6$a" not in users
    assert names(without_user(users, "al")) == [("alice", "editor")]
    assert without_user(users, "bob") == users


@pytest.mark.parametrize("name", ["", "Alice", "a b", "a\nuser b", "../a", "-a", "a" * 65])
def test_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises(StackError, match="user name"):
        with_user("", name, "viewer", "$6$a")


def test_a_role_that_is_not() -> None:
    with pytest.raises(StackError, match="'admin': there are viewer and editor"):
        with_user("", "alice", "admin", "$6$a")


def test_a_password_is_kept_as_a_salted_hash_alone() -> None:
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first.startswith("$6$")
    assert first != second
    assert PASSWORD not in first


@pytest.mark.parametrize("password", ["", "short", "a longer password\nof two lines"])
def test_a_password_that_is_refused(password: str) -> None:
    with pytest.raises(StackError, match="at least 12 characters"):
        hash_password(password)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = f"--directory={tmp_path}"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    main([directory, "add", "alice", "editor"])
    assert capsys.readouterr().out == "alice  editor\n"
    path = tmp_path / USERS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert PASSWORD not in path.read_text()

    before = path.read_text()
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    with pytest.raises(SystemExit, match="at least 12"):
        main([directory, "add", "bob", "viewer"])
    with pytest.raises(SystemExit, match="there is no user 'bob'"):
        main([directory, "remove", "bob"])
    assert path.read_text() == before
    main([directory, "remove", "alice"])
    assert names(path.read_text()) == []


def test_editors_stand_beside_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = with_user(with_user("", "alice", "editor", "$6$a"), "bob", "editor", "$6$b")
    keep_users(tmp_path, users, None)
    editors = tmp_path / EDITORS_FILE
    assert editors.read_text() == "alice\nbob\n"
    assert stat.S_IMODE(editors.stat().st_mode) == 0o400

    def fails(path: Path, text: str, owner: int | None) -> None:
        if path.name == USERS_FILE:
            raise OSError("interrupted")
        write(path, text, owner)

    monkeypatch.setattr("control_plane.web_access.write", fails)
    users = with_user(with_user(users, "bob", "viewer", "$6$c"), "cyd", "editor", "$6$d")
    with pytest.raises(OSError, match="interrupted"):
        keep_users(tmp_path, users, None)
    assert editors.read_text() == "alice\n"


def test_editors_of_a_file_from_before_are_written_down(tmp_path: Path) -> None:
    keep_editors(tmp_path, None)
    assert not list(tmp_path.iterdir())
    (tmp_path / USERS_FILE).write_text(with_user("", "alice", "editor", "$6$a"))
    keep_editors(tmp_path, None)
    assert (tmp_path / EDITORS_FILE).read_text() == "alice\n"


def test_the_client_secret_is_kept_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"--directory={tmp_path}", "sso-secret"]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    main(arguments)
    assert (tmp_path / SSO_FILE).read_text() == PASSWORD
    said = capsys.readouterr().out
    assert "The client secret is kept" in said and PASSWORD not in said
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(SystemExit, match="the client secret is empty; nothing was changed"):
        main(arguments)
    assert (tmp_path / SSO_FILE).read_text() == PASSWORD


def test_the_certificate_is_made_once_and_renewed_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert renew_certificate(tmp_path, None)
    path = tmp_path / CERTIFICATE_FILE
    first = path.read_text()
    assert "BEGIN PRIVATE KEY" in first
    assert "BEGIN CERTIFICATE" in first
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    shown = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(path)]
    assert "localhost" in subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    assert not renew_certificate(tmp_path, None)
    assert path.read_text() == first
    monkeypatch.setattr("control_plane.web_access._RENEW_S", 900 * 24 * 3600)
    assert renew_certificate(tmp_path, None)
    assert path.read_text() != first


def test_the_gateway_hashes_a_password_once_per_request() -> None:
    configuration = Path(__file__).resolve().parents[2] / "gateway/web/haproxy.cfg"
    assert configuration.read_text().count("{ http_auth") == 0
    assert configuration.read_text().count("http_auth_group(") == 1

"""Secrets: made once, kept, and shared with their consumers alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from control_plane.errors import StackError
from control_plane.secrets import Share, main, parse_share, provision, read


def test_missing_secrets_are_made_and_present_ones_kept(tmp_path: Path) -> None:
    assert provision(tmp_path, ["a_password", "b_password"]) == ["a_password", "b_password"]
    first = read(tmp_path, "a_password")
    assert len(first) >= 32
    assert first != read(tmp_path, "b_password")
    assert provision(tmp_path, ["a_password", "c_password"]) == ["c_password"]
    assert read(tmp_path, "a_password") == first


def test_files_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    provision(tmp_path, ["a_password"])
    assert stat.S_IMODE((tmp_path / "a_password").stat().st_mode) == 0o400


def test_a_file_that_a_person_put_there_is_closed_too(tmp_path: Path) -> None:
    (tmp_path / "a_password").write_text("mine")
    assert provision(tmp_path, ["a_password"]) == []
    assert read(tmp_path, "a_password") == "mine"
    assert stat.S_IMODE((tmp_path / "a_password").stat().st_mode) == 0o400


def test_a_share_holds_its_names_and_follows_the_vault(tmp_path: Path) -> None:
    vault, consumer = tmp_path / "all", tmp_path / "elt"
    consumer.mkdir()
    share = Share(consumer, None, ("elt_password",))
    provision(vault, ["other_password"], [share])
    assert [path.name for path in consumer.iterdir()] == ["elt_password"]
    assert read(consumer, "elt_password") == read(vault, "elt_password")

    (vault / "elt_password").unlink()
    (vault / "elt_password").write_text("rotated")
    provision(vault, [], [share])
    assert read(consumer, "elt_password") == "rotated"


def test_a_share_is_read_from_the_command_line() -> None:
    share = parse_share("/secrets/elt:10001=elt_password,access_key")
    assert share == Share(Path("/secrets/elt"), 10001, ("elt_password", "access_key"))
    assert parse_share("/secrets/elt=a").owner is None


@pytest.mark.parametrize("text", ["", "/secrets/elt", "/secrets/elt:root=a", "=a", "/x=A b", "/x="])
def test_another_form_is_refused_by_name(text: str) -> None:
    with pytest.raises(StackError, match=r"secret name|--share"):
        parse_share(text)


@pytest.mark.parametrize("name", ["../escape", "UPPER", "", "a/b", "a" * 64])
def test_bad_names_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(StackError):
        provision(tmp_path / "all", [name])
    assert list((tmp_path / "all").iterdir()) == []


def test_reading_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="missing_password: No such file"):
        read(tmp_path, "missing_password")
    (tmp_path / "empty").write_text("")
    with pytest.raises(StackError, match="empty is empty"):
        read(tmp_path, "empty")


def test_present_ones_are_renewed_when_asked_but_for_those_to_keep(tmp_path: Path) -> None:
    vault, consumer = tmp_path / "all", tmp_path / "migrate"
    consumer.mkdir()
    share = f"--share={consumer}=superuser,superuser_former,elt,mine"
    main([f"--directory={vault}", share])
    before = {name: read(vault, name) for name in ("superuser", "elt", "mine")}
    main([f"--directory={vault}", share, "--renew", "--keep=mine"])
    after = {name: read(vault, name) for name in before}
    assert after["mine"] == before["mine"]
    assert len({after["superuser"], after["elt"], before["superuser"], before["elt"]}) == 4
    assert read(consumer, "superuser_former") == before["superuser"]
    assert {name: read(consumer, name) for name in after} == after

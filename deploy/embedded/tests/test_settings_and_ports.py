import socket
from pathlib import Path

import pytest
from control_plane.errors import StackError

from embedded.ports import inner_ports, is_free, owner_of, require_free
from embedded.settings import path_prefix, read_settings, webserver_port


def test_the_shell_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file # why\nBARE\n")
    assert read_settings(tmp_path, {"A": "shell"}) == {"A": "shell", "B": "file"}


def test_there_need_be_no_file(tmp_path: Path) -> None:
    assert read_settings(tmp_path, {}) == {}


def test_the_port_has_a_default_also_when_set_to_nothing() -> None:
    assert webserver_port({}) == webserver_port({"WEBSERVER_PORT": ""}) == 3000


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1", "3000.5", "²", "30 00"])
def test_a_port_that_is_none_is_named(text: str) -> None:
    with pytest.raises(StackError, match="WEBSERVER_PORT"):
        webserver_port({"WEBSERVER_PORT": text})


def test_a_path_prefix() -> None:
    assert path_prefix({}) == path_prefix({"WEB_PATH_PREFIX": ""}) == ""
    assert path_prefix({"WEB_PATH_PREFIX": "/data/dagster"}) == "/data/dagster"


@pytest.mark.parametrize("text", ["dagster", "/dagster/", "/", "//x", "/a b", "/a\n"])
def test_a_path_prefix_that_is_none_is_named(text: str) -> None:
    with pytest.raises(StackError, match="WEB_PATH_PREFIX is"):
        path_prefix({"WEB_PATH_PREFIX": text})


def test_a_taken_port_names_its_owner_and_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(StackError, match=rf"port {port} is taken.*WEBSERVER_PORT=\d+"):
            require_free(port)
        owner = owner_of(port)
        assert owner is None or "python" in owner or "pytest" in owner
    require_free(port)


def test_a_server_on_all_addresses_counts_too() -> None:
    with socket.create_server(("", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_inner_ports_are_the_checkout_s_own_and_step_aside(tmp_path: Path) -> None:
    first = inner_ports(tmp_path, 3)
    assert len(set(first)) == 3
    assert inner_ports(tmp_path, 3) == first
    assert inner_ports(tmp_path / "other", 3) != first
    with socket.create_server(("127.0.0.1", first[0])):
        assert inner_ports(tmp_path, 2) == first[1:]

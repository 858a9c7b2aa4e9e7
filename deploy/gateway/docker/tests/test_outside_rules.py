"""Rules of routing, added and removed in a network namespace of the test's own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from docker_gateway import outside_rules

SUBNET, OTHER = "198.18.224.0/20", "198.19.224.0/20"
LINK_LOCAL = "169.254.0.0/16"
SOURCE = Path(outside_rules.__file__).parents[1]
NAMESPACE = ["unshare", "--map-root-user", "--net"]


def rules_after(*calls: str) -> list[str]:
    """What `ip rule` shows of ours after some calls of the program, without the numbers."""
    if subprocess.run([*NAMESPACE, "ip", "rule"], capture_output=True).returncode:
        pytest.skip("a network namespace takes Linux, iproute2, and the right to make one")
    program = f"{shlex.quote(sys.executable)} -m docker_gateway.outside_rules"
    script = "\n".join([*(f"{program} {call} >/dev/null" for call in calls), "ip rule"])
    shown = subprocess.run(
        [*NAMESPACE, "sh", "-ec", script],
        cwd=SOURCE,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [" ".join(line.split(":", 1)[1].split()) for line in shown.stdout.splitlines()]
    return [line for line in lines if not line.startswith("from all")]


def blocked(subnet: str, target: str) -> str:
    return f"from {subnet} to {target} prohibit"


def test_name_servers_come_first() -> None:
    assert rules_after(f"add {SUBNET} {LINK_LOCAL}") == [
        f"from {SUBNET} to {LINK_LOCAL} ipproto tcp dport 53 lookup main",
        f"from {SUBNET} to {LINK_LOCAL} ipproto udp dport 53 lookup main",
        blocked(SUBNET, LINK_LOCAL),
    ]


def test_added_again_they_are_made_anew() -> None:
    shown = rules_after(f"add {SUBNET} {LINK_LOCAL}", f"add {SUBNET} 10.0.0.0/8 192.168.1.7")
    assert [line for line in shown if "prohibit" in line] == [
        blocked(SUBNET, "10.0.0.0/8"),
        blocked(SUBNET, "192.168.1.7"),
    ]
    assert len(shown) == 6


def test_nothing_named_is_nothing_blocked() -> None:
    assert rules_after(f"add {SUBNET} {LINK_LOCAL}", f"add {SUBNET}") == []


def test_another_stack_keeps_its_own() -> None:
    shown = rules_after(
        f"add {SUBNET} {LINK_LOCAL}", f"add {OTHER} {LINK_LOCAL}", f"remove {SUBNET}"
    )
    assert len(shown) == 3
    assert blocked(OTHER, LINK_LOCAL) in shown


@pytest.mark.parametrize("value", ["169.254.1.0/15", "metadata.internal", "::1"])
def test_what_is_no_network_is_named(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        outside_rules.main(["add", SUBNET, value])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert repr(value) in said or value in said
    assert "Fix: networks such as 169.254.0.0/16" in said


def test_a_right_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    class Refused:
        def __enter__(self) -> Refused:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def get_rules(self, **_: object) -> list[object]:
            raise NetlinkError(1, "Operation not permitted")

    with pytest.MonkeyPatch.context() as instead:
        instead.setattr(outside_rules, "IPRoute", Refused)
        assert outside_rules.main(["add", SUBNET, LINK_LOCAL]) == 1
    assert "Fix: this container needs NET_ADMIN" in capsys.readouterr().err

"""Releases of any size pass the gate and go live; says how long that takes (docs/shipping.md)."""

from __future__ import annotations

import time

import pytest

from harness import Stack
from releases import deploy, stackctl, write

ASSETS = """
import dagster as dg


def asset(number: int) -> dg.AssetsDefinition:
    @dg.asset(name=f"sized_{{number:04}}", group_name="sized")
    def sized() -> None: ...

    return sized


sized = [asset(number) for number in range({count})]
"""
CHECKS = """
import dagster as dg


@dg.asset
def checked() -> None: ...


def check(number: int) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=checked, name=f"check_{{number:04}}")
    def sized() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    return sized


checks = [check(number) for number in range({count})]
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("code", "count"),
    [(ASSETS, 10), (ASSETS, 100), (ASSETS, 1000), (ASSETS, 5000), (CHECKS, 5000)],
)
def test_a_release_of_any_size_goes_live(stack: Stack, code: str, count: int) -> None:
    write(stack, code.format(count=count))
    began = time.monotonic()
    shown = stackctl(stack, "diff", "elt")
    assert shown.code == 0, shown.text
    [gate] = [line for line in shown.text.splitlines() if "✓ Gate" in line]
    assert len(shown.text.splitlines()) < 60
    compared = time.monotonic()
    assert deploy(stack)["went_live"]
    print(
        f"{count} {'assets' if code == ASSETS else 'checks'}: {gate.strip()},"
        f" diff {compared - began:.1f} s, deploy {time.monotonic() - compared:.1f} s"
    )

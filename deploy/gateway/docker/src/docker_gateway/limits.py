"""A run's own limits: within what its location's service has, or allows by its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docker_gateway.refusal import Refusal
from docker_gateway.template import Template

CREATED = ("Memory", "MemoryReservation", "MemorySwap", "NanoCpus", "CpuShares", "OomScoreAdj")
_UPDATED = ("Memory", "MemorySwap", "NanoCpus", "CpuShares")
# What a container weighs without a setting, and what the launcher gives a run: half of that.
_DEFAULT_SHARES = 1024
_RUN_SHARES = 512
# The launcher's runs go first when the host's memory ends; 1000 is the kernel's most.
_RUN_OOM_SCORE = 500
_MAX_OOM_SCORE = 1000


def created(asked: Mapping[str, Any], template: Template) -> dict[str, int]:
    """The limits of a new container. Left out is what the engine takes for no limit, 0."""
    found = {name: _whole(name, asked.get(name, 0)) for name in CREATED}
    own = {name: int(template.host_config.get(name) or 0) for name in CREATED}
    _check_memory(found["Memory"], template)
    _check_cpus(found["NanoCpus"], template)
    _check_shares(found["CpuShares"], template)
    _require("OomScoreAdj", _least_score(own), found["OomScoreAdj"], _MAX_OOM_SCORE)
    as_service = found["Memory"] == own["Memory"]
    # Left out, the engine gives as much swap as memory.
    if as_service and (own["MemorySwap"] or found["MemorySwap"]):
        _require("MemorySwap", own["MemorySwap"], found["MemorySwap"], own["MemorySwap"])
    elif found["MemorySwap"]:
        _require("MemorySwap", found["Memory"], found["MemorySwap"], 2 * found["Memory"])
    if found["MemoryReservation"]:
        _require(
            "MemoryReservation", own["MemoryReservation"], found["MemoryReservation"],
            own["MemoryReservation"],
        )  # fmt: skip
    return found


def updated(asked: Mapping[str, Any], template: Template) -> dict[str, int]:
    """The limits to change. Left out, or 0, is what stays as it is."""
    for name in asked:
        if name not in _UPDATED:
            raise Refusal(f"{name} is not a limit of a run")
    found = {name: _whole(name, number) for name, number in asked.items()}
    if "Memory" in found:
        _require("Memory", 1, found["Memory"], 2**63 - 1)
        _check_memory(found["Memory"], template)
    if "MemorySwap" in found:
        memory = found.get("Memory", 0)
        _require("MemorySwap", memory or 1, found["MemorySwap"], 2 * memory)
    if found.get("NanoCpus"):
        _check_cpus(found["NanoCpus"], template)
    if "CpuShares" in found:
        _check_shares(found["CpuShares"], template)
    return found


def _whole(name: str, number: Any) -> int:
    if type(number) is not int:
        raise Refusal(f"{name} is not a whole number")
    return number


def _require(name: str, least: int, number: int, most: int) -> None:
    if not least <= number <= most:
        raise Refusal(f"{name} is out of bounds: {number} is not within {least} to {most}")


def _check_memory(number: int, template: Template) -> None:
    own = int(template.host_config.get("Memory") or 0)
    if number != own:
        _require("Memory", 1, number, template.max_memory or 2**63 - 1)


def _check_cpus(number: int, template: Template) -> None:
    own = int(template.host_config.get("NanoCpus") or 0)
    if number != own:
        _require("NanoCpus", 1, number, template.max_nano_cpus or 2**63 - 1)


def _check_shares(number: int, template: Template) -> None:
    own = int(template.host_config.get("CpuShares") or 0)
    if number != own:
        _require("CpuShares", 2, number, max(own or _DEFAULT_SHARES, _RUN_SHARES))


def _least_score(own: Mapping[str, int]) -> int:
    return min(max(own["OomScoreAdj"], 0), _RUN_OOM_SCORE)

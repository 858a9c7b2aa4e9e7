"""Limits that a job or a run asks for by tags, within what its location allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEMORY_TAG = "docker/memory"
CPUS_TAG = "docker/cpus"
# Dagster's own, which its run monitoring keeps; here it is checked, capped and shown.
TIMEOUT_TAG = "dagster/max_runtime"
# Labels on the location's service. The timeout's is the default of all its runs, too.
MAX_TIMEOUT_LABEL = "compose_run_launcher.max_runtime"
MAX_MEMORY_LABEL = "compose_run_launcher.max_memory"
MAX_CPUS_LABEL = "compose_run_launcher.max_cpus"

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_MEMORY = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>[bkmg]?)b?", re.IGNORECASE | re.ASCII)
# Docker refuses less.
_LEAST_MEMORY = 6 * 2**20
_NANO = 10**9

# Under pressure runs give way before servers do: half the CPU weight of a service, and first to
# go when the host's memory ends.
CPU_SHARES = 512
OOM_SCORE = 500


class BadLimit(Exception):
    """A tag or label does not say a limit; names it, its value and the form."""


@dataclass(frozen=True)
class Limits:
    """Memory in bytes, CPUs in billionths, seconds; 0 for none. What was capped, in words."""

    memory: int
    nano_cpus: int
    timeout_s: int
    capped: tuple[str, ...]

    def describe(self) -> str:
        """The limits for the run's event log."""
        memory = f"{self.memory / 2**20:.0f} MiB" if self.memory else "no limit"
        cpus = f"{self.nano_cpus / _NANO:g}" if self.nano_cpus else "no limit"
        timeout = f", timeout {self.timeout_s} s" if self.timeout_s else ""
        return "; ".join([f"memory {memory}, CPUs {cpus}{timeout}", *self.capped])

    def tags(self) -> dict[str, str]:
        """What Dagster itself has to know of them."""
        return {TIMEOUT_TAG: str(self.timeout_s)} if self.timeout_s else {}


def limits(tags: Mapping[str, str], service: Mapping[str, Any]) -> Limits:
    """What a run with ``tags`` gets as a copy of the inspected ``service``.

    Without tags: the service's own. With tags: what they ask for, at most the service's label
    ``compose_run_launcher.max_memory``, ``max_cpus`` or ``max_runtime``, or its own limit where
    it has no label.
    """
    own = service["HostConfig"]
    labels = service["Config"].get("Labels") or {}
    memory, memory_note = _within(
        MEMORY_TAG, tags, MAX_MEMORY_LABEL, labels, own.get("Memory") or 0, parse_memory
    )
    cpus, cpus_note = _within(
        CPUS_TAG, tags, MAX_CPUS_LABEL, labels, own.get("NanoCpus") or 0, parse_cpus
    )
    default = labels.get(MAX_TIMEOUT_LABEL)
    timeout, timeout_note = _within(
        TIMEOUT_TAG,
        tags,
        MAX_TIMEOUT_LABEL,
        labels,
        parse_seconds(f"label {MAX_TIMEOUT_LABEL}", default) if default else 0,
        parse_seconds,
    )
    notes = (memory_note, cpus_note, timeout_note)
    return Limits(memory, cpus, timeout, tuple(note for note in notes if note))


def changes(granted: Limits) -> dict[str, int]:
    """What to change in a standby worker's container, which has been made without a run's tags."""
    update = {"CpuShares": CPU_SHARES, "NanoCpus": granted.nano_cpus}
    if granted.memory:
        # With swap of the same size, which is what the engine gives a new container.
        update |= {"Memory": granted.memory, "MemorySwap": 2 * granted.memory}
    return update


def apply(host_config: dict[str, Any], granted: Limits) -> None:
    """Write the limits into a container's host configuration."""
    if granted.memory != (host_config.get("Memory") or 0):
        host_config["Memory"] = granted.memory
        # Both of these were derived from the service's limit.
        host_config.pop("MemorySwap", None)
        host_config.pop("MemoryReservation", None)
    if granted.nano_cpus != (host_config.get("NanoCpus") or 0):
        host_config["NanoCpus"] = granted.nano_cpus
    host_config["CpuShares"] = CPU_SHARES
    host_config["OomScoreAdj"] = OOM_SCORE


def parse_memory(name: str, text: str) -> int:
    """Bytes from a form such as 512m or 2g."""
    match = _MEMORY.fullmatch(text.strip())
    size = int(float(match["number"]) * _UNITS[match["unit"].lower()]) if match else 0
    if size < _LEAST_MEMORY:
        raise BadLimit(
            f"{name}: {text!r} is not a valid memory size: 6m or more, such as 512m or 2g"
        )
    return size


def parse_cpus(name: str, text: str) -> int:
    """Billionths of a CPU from a form such as 1.5."""
    match = re.fullmatch(r"\d+(\.\d+)?", text.strip(), re.ASCII)
    nano = int(float(text) * _NANO) if match else 0
    if nano < _NANO // 100:
        raise BadLimit(f"{name}: {text!r} is not a number of CPUs: 0.01 or more, such as 1.5")
    return nano


def parse_seconds(name: str, text: str) -> int:
    """Seconds from a whole number of them."""
    match = re.fullmatch(r"\d+", text.strip(), re.ASCII)
    seconds = int(text) if match else 0
    if seconds < 1:
        raise BadLimit(f"{name}: {text!r} is not a number of seconds: 1 or more, such as 3600")
    return seconds


def _within(
    tag: str,
    tags: Mapping[str, str],
    label: str,
    labels: Mapping[str, str],
    own: int,
    parse: Any,
) -> tuple[int, str]:
    if tag not in tags:
        return own, ""
    asked: int = parse(f"tag {tag}", tags[tag])
    ceiling: int = parse(f"label {label}", labels[label]) if labels.get(label) else own
    if ceiling and asked > ceiling:
        return ceiling, f"tag {tag} asked for {tags[tag]}, which is above what the location allows"
    return asked, ""

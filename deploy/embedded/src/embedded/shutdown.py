"""The end of the stack: nothing new starts, runs report their end, Postgres goes last."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from embedded import leftovers
from embedded.postgres_server import find_server, stop_server
from embedded.services import Running, ask_to_end, command_line, is_alive
from embedded.waiting import wait_until

_CONTROL_S = 10.0
_RUNS_S = 10.0
_CODE_S = 8.0


def end_stack(
    control: Iterable[Running],
    code_servers: Iterable[Running],
    postgres_data: Path,
    stack_data: Path,
    run_id: str,
    hurry: Callable[[], bool],
) -> None:
    """End everything that this run of the stack started; with ``hurry()`` true, at once.

    ``control`` are webserver and daemon, in the order in which they are asked to end.
    """
    control, code_servers = list(control), list(code_servers)
    _end_group(control, _CONTROL_S, hurry)
    _interrupt_runs(code_servers, hurry)
    _end_group(code_servers, _CODE_S, hurry)
    # Whatever escaped from the trees above still carries the mark.
    leftovers.sweep(stack_data, run_id, patience_s=0.5 if hurry() else 3)
    server = find_server(postgres_data)
    if server is not None:
        stop_server(server, deadline_s=2 if hurry() else 20)


def _end_group(group: list[Running], seconds: float, hurry: Callable[[], bool]) -> None:
    trees = [process for running in group for process in running.descendants()]
    for running in group:
        ask_to_end(running)
    wait_until(lambda: hurry() or not any(r.is_alive for r in group), seconds)
    remaining = [running.process for running in group if running.is_alive]
    leftovers.end([*remaining, *trees], patience_s=0 if hurry() else 2)


def _interrupt_runs(code_servers: list[Running], hurry: Callable[[], bool]) -> None:
    """Let runs end as interrupted, in their own words, while the storage is still there."""
    workers = [worker for each in code_servers for worker in run_workers(each.process)]
    for worker in workers:
        try:
            worker.send_signal(signal.SIGINT)
        except psutil.Error:
            continue
    wait_until(lambda: hurry() or not any(is_alive(worker) for worker in workers), _RUNS_S)


def run_workers(proxy: psutil.Process) -> list[psutil.Process]:
    """The run processes of a code server: children of the servers that its proxy holds."""
    workers = []
    try:
        for server in proxy.children():
            workers += [
                child
                for child in server.children()
                if "resource_tracker" not in command_line(child)
            ]
    except psutil.Error:
        return workers
    return workers

"""What we replace in Dagster is there, is really called by Dagster, and is refused when gone."""

from __future__ import annotations

import inspect
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from compose_run_launcher import internals as launcher_internals
from compose_run_launcher.private_names import Hook, Incompatible, needed_by
from compose_run_launcher.testing import Python
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import (
    create_run_for_test,
    create_test_daemon_workspace_context,
    instance_for_test,
)
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon import controller as dagsters_controller
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster_docker import DockerRunLauncher
from dagster_webserver.webserver import DagsterWebserver
from starlette.testclient import TestClient

from control_plane.internals import (
    code_servers,
    daemon,
    query_limits,
    retries,
    run_rows,
    run_writes,
    step_logs,
    ticks,
    webserver,
)
from control_plane.loopback_webserver import guard
from control_plane.one_order import keep_one_order
from control_plane.query_limits import limit_queries
from control_plane.queue_daemon import MOST_STARTING, PromptQueueDaemon, daemons
from control_plane.step_logs import keep_apart

# The database's own storages first: a name that their base class lost is missing in these, too.
CHECKED = (launcher_internals, run_writes, daemon, retries, run_rows, ticks, code_servers)
HOOKS = {
    hook.path: hook
    for module in (*CHECKED, webserver, step_logs, query_limits)
    for hook in module.HOOKS
}
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("elt"), "__repository__"), "job"
)


def take_away(monkeypatch: pytest.MonkeyPatch, hook: Hook) -> None:
    """As a release of Dagster would that no longer has it."""
    for kind in getattr(hook.owner, "__mro__", (hook.owner,)):
        if hook.name in vars(kind):
            monkeypatch.delattr(kind, hook.name)


def apply(hook: Hook) -> None:
    """What the process that needs it does at its start."""
    if hook in webserver.HOOKS:
        guard()
    elif hook in step_logs.HOOKS:
        keep_apart()
    elif hook in query_limits.HOOKS:
        limit_queries()
    else:
        for module in CHECKED:
            module.check_hooks()


@pytest.mark.parametrize("path", HOOKS)
def test_the_pinned_release_has_it(path: str) -> None:
    HOOKS[path].original()


@pytest.mark.parametrize("path", HOOKS)
def test_nothing_starts_without_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = HOOKS[path]
    take_away(monkeypatch, hook)
    with pytest.raises(Incompatible) as refused:
        apply(hook)
    said = str(refused.value)
    assert said.startswith(f"error: {path.partition('.')[0].replace('_', '-')} ")
    assert f" has no {path}, which {hook.needed_by} needs. Fix: " in said


@pytest.mark.parametrize("path", [path for path in HOOKS if HOOKS[path].parameters is not None])
def test_nothing_starts_with_other_parameters(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = HOOKS[path]
    monkeypatch.setattr(hook.owner, hook.name, lambda self, entirely_new: None)
    with pytest.raises(Incompatible, match=r"\(self, entirely_new\), not "):
        apply(hook)


def test_an_import_that_fails_is_named() -> None:
    with pytest.raises(Incompatible) as refused, needed_by("the test"):
        from dagster._core.events import NoSuchName  # type: ignore[attr-defined]  # noqa: F401
    assert "cannot import name 'NoSuchName' from 'dagster._core.events', which" in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("module", "gone"),
    [
        (
            "control_plane.webserver",
            "from dagster._grpc.client import DagsterGrpcClient as D\n"
            "D._server_address = property(lambda self: 'a:1', lambda self, given: None)",
        ),
        (
            "control_plane.daemon",
            "from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon as D\n"
            "del D._get_runs_to_dequeue",
        ),
    ],
)
def test_a_process_ends_with_one_line(
    python: Python, module: str, gone: str, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    program = f"import runpy, sys\n{gone}\nrunpy.run_module({module!r}, run_name='__main__')"
    home = {"DAGSTER_HOME": str(tmp_path), "PATH": "", "DAGSTER_DISABLE_TELEMETRY": "yes"}
    done = python(program, "--workspace", str(workspace), env=home)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines() or [""]
    assert line.startswith("error: dagster")
    assert "Fix: " in line


@pytest.fixture
def instance(new_home: Callable[[], str]) -> Iterator[DagsterInstance]:
    """With a queue, and a launcher that only notes what it is given."""
    settings = {
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
        },
        "run_launcher": {"module": "dagster._core.test_utils", "class": "MockedRunLauncher"},
        "concurrency": {"runs": {"max_concurrent_runs": 100}},
    }
    with instance_for_test(settings, temp_dir=new_home()) as instance:
        yield instance


@pytest.fixture
def workspace(instance: DagsterInstance) -> Iterator[WorkspaceProcessContext]:
    with create_test_daemon_workspace_context(EmptyWorkspaceTarget(), instance) as context:
        yield context


def test_dagsters_webserver_asks_the_guard(
    workspace: WorkspaceProcessContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application that dagster-webserver serves, and not our middleware alone."""
    # Taken back by pytest.
    monkeypatch.setattr(DagsterWebserver, "build_middleware", DagsterWebserver.build_middleware)
    unguarded = TestClient(DagsterWebserver(workspace).create_asgi_app())
    assert unguarded.get("/server_info", headers={"host": "evil.example"}).status_code == 200
    guard()
    client = TestClient(DagsterWebserver(workspace).create_asgi_app())
    refused = client.get("/server_info", headers={"host": "evil.example"})
    assert (refused.status_code, refused.text[:18]) == (403, "refused, rule host")
    assert client.get("/server_info", headers={"host": "localhost:3000"}).status_code == 200


class Code(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A code server that tells its id."""

    def service(self, details: Any) -> Any:
        if not details.method.endswith("/GetServerId"):
            return None
        return grpc.unary_unary_rpc_method_handler(
            lambda _request, _context: dagster_api_pb2.GetServerIdReply(server_id="ours"),
            response_serializer=dagster_api_pb2.GetServerIdReply.SerializeToString,
        )


def test_dagsters_client_connects_to_what_we_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its call arrives, though nobody but our lookup knows the name."""
    client_class: Any = code_servers.DagsterGrpcClient
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Code(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_: [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]
    )
    try:
        keep_one_order()
        assert client_class(host="nobody.invalid", port=port).get_server_id(timeout=20) == "ours"
    finally:
        del client_class._server_address
        server.stop(grace=None)


def test_an_address_in_another_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, **_: Any) -> None:
            self._server_address = "dns:///host:1"

    monkeypatch.setattr(code_servers, "DagsterGrpcClient", Other)
    with pytest.raises(Incompatible, match="dns:///host:1"):
        keep_one_order()


def queue(instance: DagsterInstance, count: int) -> None:
    for _ in range(count):
        create_run_for_test(
            instance, job_name="job", status=DagsterRunStatus.QUEUED, remote_job_origin=ORIGIN
        )


def launched(instance: DagsterInstance) -> int:
    launcher: Any = instance.run_launcher
    return len(launcher.queue())


def test_dagsters_round_of_the_queue_takes_a_portion(
    instance: DagsterInstance, workspace: WorkspaceProcessContext
) -> None:
    queue(instance, MOST_STARTING + 3)
    list(PromptQueueDaemon(1).run_iteration(workspace))
    assert launched(instance) == MOST_STARTING


def test_dagsters_daemon_thread_runs_our_loop(
    instance: DagsterInstance, workspace: WorkspaceProcessContext
) -> None:
    """A run that comes after the first round is taken, though the interval is an hour."""
    (ours,) = [each for each in daemons(instance) if isinstance(each, PromptQueueDaemon)]
    ours.interval_seconds = 3600
    told, looked = threading.Event(), threading.Event()
    first = ours.run_iteration

    def run_iteration(*arguments: Any) -> Any:
        yield from first(*arguments)
        looked.set()

    ours.run_iteration = run_iteration  # type: ignore[method-assign]
    thread = threading.Thread(target=ours.run_daemon_loop, args=(workspace, "id", told, 30, 300))
    thread.start()
    try:
        assert looked.wait(60)
        looked.clear()
        queue(instance, 1)
        assert looked.wait(60)
        assert launched(instance) == 1
    finally:
        told.set()
        thread.join(30)
    assert not instance.get_run_ids(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))


class Asked(Exception):
    """The controller has called our check."""


def test_dagsters_controller_asks_our_check_and_has_a_workspace(
    instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagsters_controller, "THREAD_CHECK_INTERVAL", 0)

    def check(_last: float) -> float:
        raise Asked

    with (
        daemon.daemon_controller_from_instance(
            instance,
            workspace_load_target=EmptyWorkspaceTarget(),
            gen_daemons=lambda _: [PromptQueueDaemon(1)],
        ) as controller,
        pytest.raises(Asked),
    ):
        assert isinstance(daemon.workspace_of(controller), WorkspaceProcessContext)
        daemon.check_freshness_by(controller, check)
        controller.check_daemon_loop()


def test_a_controller_without_a_workspace_is_refused() -> None:
    controller: Any = object.__new__(daemon.DagsterDaemonController)
    with pytest.raises(Incompatible, match=r"DagsterDaemonController\._workspace_process_context"):
        daemon.workspace_of(controller)


def test_the_instance_tells_how_its_storages_connect(instance: DagsterInstance) -> None:
    for connect in daemon.connects_of(instance):
        with connect() as connection:
            assert connection.engine is not None


def test_dagsters_launcher_resumes_through_ours() -> None:
    """Dagster's own method calls the one that ours overrides, with these arguments."""
    calls: list[tuple[Any, ...]] = []

    class Launcher(DockerRunLauncher):
        def _launch_container_with_command(self, *arguments: Any) -> None:
            calls.append(arguments)

        @property
        def _instance(self) -> Any:
            return Nothing()

    class Nothing:
        def get_ref(self) -> None:
            return None

    with instance_for_test() as instance:
        run = create_run_for_test(instance, job_name="job", job_code_origin=_code_origin())
    from dagster._core.launcher.base import ResumeRunContext

    Launcher(image="image:1").resume_run(ResumeRunContext(dagster_run=run, workspace=None))
    ((given, image, command),) = calls
    assert (given, image) == (run, "image:1")
    assert "resume_run" in command


def _code_origin() -> Any:
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

    pointer = ModuleCodePointer("jobs", "defs", working_directory=None)
    return JobPythonOrigin("job", RepositoryPythonOrigin(sys.executable, pointer))


def test_an_update_reaches_the_engine() -> None:
    """As docker-py sends it: one POST to the container's update, with these limits."""
    from docker import APIClient

    api = APIClient(base_url="http://127.0.0.1:9", version="1.44")
    sent: list[tuple[str, str]] = []

    class Answer:
        def raise_for_status(self) -> None:
            return None

    def post(url: str, data: str, **_: Any) -> Answer:
        sent.append((url, data))
        return Answer()

    api.post = post
    launcher_internals.update_container(api, "abc", {"NanoCpus": 5})
    assert sent == [("http://127.0.0.1:9/v1.44/containers/abc/update", '{"NanoCpus": 5}')]


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (daemon.create_daemons_from_instance, ["instance"], {}),
        (
            daemon.daemon_controller_from_instance,
            ["instance"],
            {"workspace_load_target": 1, "gen_daemons": 2},
        ),
        (daemon.WorkspaceFileTarget, [["path"]], {}),
        (daemon.WorkspaceProcessContext.refresh_code_location, ["self", "name"], {}),
        (daemon.WorkspaceProcessContext.create_request_context, ["self"], {}),
        (code_servers.DagsterGrpcClient, [], {"host": "host", "port": 1}),
        (code_servers.DagsterGrpcClient.list_repositories, ["self"], {}),
        (code_servers.DagsterGrpcClient.shutdown_server, ["self"], {}),
        (code_servers.DagsterGrpcClient.get_server_id, ["self"], {"timeout": 2}),
        (
            code_servers.DagsterGrpcClient.external_repository,
            ["self", "origin"],
            {"defer_snapshots": True},
        ),
        (code_servers.RemoteRepositoryOrigin, ["origin", "name"], {}),
        (
            code_servers.GrpcServerCodeLocationOrigin,
            [],
            {"host": "host", "port": 1, "location_name": "release"},
        ),
        (code_servers.deserialize_value, ["text", ()], {}),
        (launcher_internals.ExecuteRunArgs, ["origin", "run", "instance"], {}),
    ],
)
def test_what_we_call_takes_what_we_give(
    function: Any, arguments: list[Any], named: dict[str, Any]
) -> None:
    inspect.signature(function).bind(*arguments, **named)

"""The Job that K8sRunLauncher sends to a cluster, with the values that we write."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import celpy
import kubernetes
import kubernetes_validate
import pytest
import yaml
from celpy.adapter import json_to_cel
from charts import ROOT, container_context
from conftest import DIGEST
from dagster import DagsterInstance
from dagster._config import process_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.dagster_run import DagsterRun
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import deserialize_value
from dagster._utils.env import environ
from dagster_k8s import K8sRunLauncher
from pytest_httpserver import HTTPServer
from stackctl.kubernetes.render import Rendered
from werkzeug import Request, Response

LOCATIONS = ("elt", "analytics", "shop_orders")
# It has no types.
Launcher: Any = K8sRunLauncher
Launch = Callable[..., tuple[str, dict[str, Any]]]


def instance_yaml(values: dict[str, Any]) -> dict[str, Any]:
    """The parts of dagster.yaml that a run takes along, as the chart dagster writes them."""
    postgres = values["postgresql"]
    config = {
        "postgres_db": {
            # Unquoted in the chart.
            "username": yaml.safe_load(postgres["postgresqlUsername"]),
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": postgres["postgresqlHost"],
            "db_name": postgres["postgresqlDatabase"],
            "port": postgres["service"]["port"],
        }
    }
    storages = {
        "run_storage": ("dagster_postgres.run_storage", "PostgresRunStorage"),
        "event_log_storage": ("dagster_postgres.event_log", "PostgresEventLogStorage"),
        "schedule_storage": ("dagster_postgres.schedule_storage", "PostgresScheduleStorage"),
    }
    found: dict[str, Any] = {
        key: {"module": module, "class": name, "config": config}
        for key, (module, name) in storages.items()
    }
    found["run_launcher"] = values["runLauncher"]["config"]["customRunLauncher"]
    coordinator = values["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]
    found["run_coordinator"] = coordinator
    more: dict[str, Any] = values["additionalInstanceConfig"]
    return found | more


@pytest.fixture(scope="module")
def reference(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> InstanceRef:
    """The instance as a run is told of it; dagster.yaml is checked when it is made."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text(yaml.safe_dump(instance_yaml(values)))
    with environ({"DAGSTER_STORAGE_DIR": str(home)}):
        return InstanceRef.from_dir(str(home))


@pytest.fixture(scope="module")
def launch(
    values: dict[str, Any],
    rendered: Rendered,
    reference: InstanceRef,
    make_httpserver: HTTPServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Launch]:
    """Launch a run of a location; the namespace and the Job that the cluster's API is sent."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def create(request: Request) -> Response:
        sent.append((request.path.split("/")[5], json.loads(request.data)))
        return Response(request.data, 201, content_type="application/json")

    jobs = re.compile("/apis/batch/v1/namespaces/[^/]+/jobs")
    make_httpserver.expect_request(jobs, method="POST").respond_with_handler(create)
    kubeconfig = tmp_path_factory.mktemp("kube") / "config"
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    server = {"name": "c", "cluster": {"server": make_httpserver.url_for("")}}
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [context],
                "clusters": [server],
                "users": [{"name": "u", "user": {}}],
            }
        )
    )
    config = values["runLauncher"]["config"]["customRunLauncher"]["config"]
    # In a cluster it finds the API by itself.
    found = {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    checked = process_config(Launcher.config_type(), config | found)
    assert checked.success, checked.errors
    launcher = Launcher.from_config_value(None, checked.value)
    with DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        launcher.register_instance(instance)
        patch.setattr(instance, "get_ref", lambda: reference)

        def launched(
            location: str,
            tags: dict[str, str] | None = None,
            **answered: Any,
        ) -> tuple[str, dict[str, Any]]:
            run = run_of(location, rendered, tags or {}, answered)
            instance.run_storage.add_run(run)
            launcher.launch_run(LaunchRunContext(run, None))
            return sent[-1]

        yield launched
    kubernetes.client.Configuration.set_default(None)


def run_of(
    location: str, rendered: Rendered, tags: dict[str, str], answered: dict[str, Any]
) -> DagsterRun:
    """A queued run; ``answered``: what a code server says of itself otherwise than ours does."""
    own = yaml.safe_load(rendered.files[f"{location}.values.yaml"])
    [deployment] = own["deployments"]
    name = deployment["name"]
    context = container_context(own, f"dagster-stack-{name}")
    context["k8s"] |= answered.get("k8s", {})
    image = deployment["image"]
    repository = RepositoryPythonOrigin(
        executable_path="/app/.venv/bin/python",
        code_pointer=ModuleCodePointer(f"{location}.definitions", "defs", None),
        container_image=f"{image['repository']}@{image['digest']}",
        entry_point=["dagster"],
        container_context=context,
    )
    server = GrpcServerCodeLocationOrigin(
        host=f"{name}.dagster-stack-{name}", port=4000, location_name=location
    )
    remote = RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), "load_users")
    return DagsterRun(
        job_name="load_users",
        tags=tags,
        remote_job_origin=remote,
        job_code_origin=JobPythonOrigin("load_users", repository),
    )


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_run_is_what_its_location_is(location: str, launch: Launch, rendered: Rendered) -> None:
    namespace, job = launch(location)
    own = yaml.safe_load(rendered.files[f"{location}.values.yaml"])
    [deployment] = own["deployments"]
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert namespace == f"dagster-stack-{deployment['name']}"
    assert container["image"] == f"ghcr.io/acme/{location}@{DIGEST}"
    # Ours reads secret files and becomes what it is told (deploy/code_location/entrypoint).
    assert "command" not in container
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    given = [each["name"] for each in container["env"]]
    assert len(given) == len(set(given))
    assert {each["name"] for each in deployment["env"]} < set(given)
    assert container["resources"] == deployment["resources"]
    assert {each["mountPath"] for each in container["volumeMounts"]} == {
        *("/run/secrets", "/tmp", "/var/lib/dagster/storage"),  # noqa: S108
    }
    assert pod["volumes"] == deployment["volumes"]
    assert container["securityContext"] == deployment["securityContext"]
    assert pod["securityContext"] == deployment["podSecurityContext"]
    assert pod["serviceAccountName"] == "code-location"
    assert pod["terminationGracePeriodSeconds"] == 30
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400
    # What admission goes by.
    assert job["metadata"]["labels"]["dagster/code-location"] == location


def test_the_job_is_valid(launch: Launch) -> None:
    _, job = launch("elt")
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)


def test_a_run_logs_in_as_its_own_role(launch: Launch) -> None:
    _, job = launch("analytics")
    [container] = job["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each for each in container["env"]}
    # By name, in the namespace of the Job: that Secret holds the password of this location's role.
    assert environment["DAGSTER_PG_PASSWORD"]["valueFrom"]["secretKeyRef"] == {
        "name": "dagster-postgresql-secret",
        "key": "postgresql-password",
    }
    argument = deserialize_value(container["args"][-1], ExecuteRunArgs)
    assert argument.instance_ref and argument.instance_ref.run_storage_data
    storage = argument.instance_ref.run_storage_data
    login = yaml.safe_load(storage.config_yaml)["postgres_db"]
    assert login["username"] == {"env": "DAGSTER_POSTGRES_USER"}
    assert login["password"] == {"env": "DAGSTER_PG_PASSWORD"}
    assert environment["DAGSTER_POSTGRES_USER"]["value"] == "analytics"


SAID: list[tuple[str, dict[str, Any]]] = [
    ("job_metadata", {"labels": {"dagster/code-location": "analytics"}}),
    ("pod_template_spec_metadata", {"labels": {"component": "dagster-daemon"}}),
    ("container_config", {"image": "ghcr.io/acme/analytics"}),
    ("container_config", {"command": ["sh", "-c", "env"]}),
    ("pod_spec_config", {"containers": [{"name": "other", "image": "x"}]}),
    ("pod_spec_config", {"host_network": True}),
    ("job_spec_config", {"completions": 100}),
    ("job_config", {"metadata": {"labels": {"dagster/code-location": "analytics"}}}),
]


@pytest.mark.parametrize(("section", "config"), SAID)
def test_a_location_cannot_say_what_others_go_by(
    section: str, config: dict[str, Any], launch: Launch
) -> None:
    """Neither by a job's tag nor by what its code server answers."""
    refused = f"violated the allowed list: .*{section}"
    with pytest.raises(Exception, match=refused):
        launch("elt", {"dagster-k8s/config": json.dumps({section: config})})
    with pytest.raises(Exception, match=refused):
        launch("elt", k8s={"run_k8s_config": {section: config}})


def test_a_code_server_cannot_add_labels(launch: Launch) -> None:
    with pytest.raises(Exception, match=r"violated the allowed list: .*job_metadata\.labels"):
        launch("elt", k8s={"labels": {"dagster/code-location": "analytics"}})


def test_a_job_may_ask_for_memory_by_its_tag(launch: Launch) -> None:
    asked = {"container_config": {"resources": {"limits": {"memory": "512Mi"}}}}
    _, job = launch("elt", {"dagster-k8s/config": json.dumps(asked)})
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "512Mi"}


def admitted(rendered: Rendered, namespace: str, job: dict[str, Any]) -> bool:
    """Whether the API server takes a Job in a namespace, by our policy."""
    policy, _ = yaml.safe_load_all(rendered.files["admission-policies.yaml"])
    [rule] = policy["spec"]["validations"]
    [found] = [
        each
        for each in yaml.safe_load_all(rendered.files["namespaces.yaml"])
        if each["kind"] == "Namespace" and each["metadata"]["name"] == namespace
    ]
    environment = celpy.Environment()
    program = environment.program(environment.compile(rule["expression"]))
    given = {"object": json_to_cel(job), "namespaceObject": json_to_cel(found)}
    return bool(program.evaluate(given))


@pytest.mark.parametrize("location", LOCATIONS)
def test_runs_are_admitted_at_home(location: str, launch: Launch, rendered: Rendered) -> None:
    assert admitted(rendered, *launch(location))


def test_a_run_in_anothers_namespace_is_not_admitted(launch: Launch, rendered: Rendered) -> None:
    """A code server answers in which namespace its runs are made, and the launcher believes it."""
    namespace, job = launch("elt", k8s={"namespace": "dagster-stack-analytics"})
    assert namespace == "dagster-stack-analytics"
    assert not admitted(rendered, namespace, job)


def test_the_queue_is_the_one_of_dagster_yaml(reference: InstanceRef) -> None:
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())["run_queue"]
    assert reference.run_coordinator_data is not None
    coordinator = reference.run_coordinator
    assert type(coordinator).__name__ == "QueuedRunCoordinator"
    got = coordinator.get_run_queue_config()  # type: ignore[union-attr]
    assert got.max_user_code_failure_retries == ours["max_user_code_failure_retries"]
    assert got.user_code_failure_retry_delay == ours["user_code_failure_retry_delay"]
    assert coordinator.dequeue_interval_seconds == 5  # type: ignore[union-attr]

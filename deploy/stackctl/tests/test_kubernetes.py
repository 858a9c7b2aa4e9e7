"""Values for the official charts: what is carried, and what is refused by name."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackctl.errors import REFUSED, USAGE, StackctlError
from stackctl.kubernetes import cli
from stackctl.kubernetes.cli import choose
from stackctl.kubernetes.cluster import Cluster, Image, Logs, parse_hosts
from stackctl.kubernetes.render import Rendered, documents, render
from stackctl.kubernetes.workload import seconds
from stackctl.stack import Stack

DIGEST = f"sha256:{'a' * 64}"
IMAGE = Image("ghcr.io/acme/shop_orders", DIGEST)
NAME = "shop_orders"
CONTROL: dict[str, Any] = {
    "environment": {
        "DAGSTER_POSTGRES_HOST": "postgres",
        "DAGSTER_POSTGRES_PORT": "5432",
        "DAGSTER_POSTGRES_DB": "dagster",
        "DAGSTER_POSTGRES_USER": "dagster",
        "DAGSTER_POSTGRES_PASSWORD_FILE": "/run/secrets/dagster_password",
        "DAGSTER_STORAGE_DIR": "/var/lib/dagster/storage",
        "DOCKER_HOST": "unix:///run/docker/docker.sock",
    },
    "mem_limit": "1073741824",
}
LOCATION: dict[str, Any] = {
    "image": "dagster-stack/shop_orders:live",
    "command": None,
    "entrypoint": None,
    "environment": {
        "DAGSTER_IMAGE_REPOSITORY": "dagster-stack/shop_orders",
        "DAGSTER_POSTGRES_HOST": "postgres",
        "DAGSTER_POSTGRES_USER": NAME,
        "DAGSTER_POSTGRES_PASSWORD_FILE": "/run/secrets/shop_orders_password",
        "DAGSTER_STORAGE_DIR": "/var/lib/dagster/storage",
        "AWS_ENDPOINT_URL_S3": "http://object-store:8333",
        "HTTP_PROXY": None,
        "WAREHOUSE_USER": NAME,
    },
    "labels": {"compose_run_launcher.role": "code-location"},
    "mem_limit": "536870912",
    "cpus": 1.5,
    "networks": {"core": None, "outside": None},
    "read_only": True,
    "stop_grace_period": "1m30s",
    "tmpfs": ["/tmp"],  # noqa: S108
    "volumes": [
        {"type": "volume", "source": "secrets_shop", "target": "/run/secrets", "read_only": True},
        {"type": "volume", "source": "storage_shop", "target": "/var/lib/dagster/storage"},
        {"type": "volume", "source": "compute_logs", "target": "/var/lib/dagster/compute_logs"},
    ],
}
CONFIG: dict[str, Any] = {
    "name": "my_stack",
    "services": {
        "postgres": {"networks": {"core": None}},
        "object_store": {"networks": {"objects": {"aliases": ["object-store"]}}},
        "secrets": {
            "command": ["--share=/secrets/shop:10001=shop_orders_password,api_token"],
            "volumes": [{"type": "volume", "source": "secrets_shop", "target": "/secrets/shop"}],
        },
        "webserver": CONTROL,
        "daemon": CONTROL,
        NAME: LOCATION,
    },
    "volumes": {"secrets_shop": {}, "storage_shop": {}, "compute_logs": {}},
}
DAGSTER: dict[str, Any] = {
    "storage": {"postgres": {"postgres_db": {"hostname": {"env": "DAGSTER_POSTGRES_HOST"}}}},
    "run_launcher": {
        "class": "ComposeRunLauncher",
        "config": {"keep_succeeded_seconds": 300, "keep_failed_seconds": 86400},
    },
    "run_queue": {"max_user_code_failure_retries": 12},
    "concurrency": {"runs": {"max_concurrent_runs": 10}},
    "run_monitoring": {"enabled": True, "poll_interval_seconds": 15},
    "freshness": {"enabled": True},
    "compute_logs": {"class": "LocalComputeLogManager"},
}
WORKSPACE: dict[str, Any] = {
    "load_from": [{"grpc_server": {"host": NAME, "port": 4000, "location_name": NAME}}]
}
CLUSTER = Cluster(
    "my_stack",
    {NAME: IMAGE},
    {"postgres": "db.example.com", "object-store": "s3.example.com"},
    Logs("logs", endpoint="https://s3.example.com:9000"),
)


def rendered(
    service: dict[str, Any] | None = None,
    dagster: dict[str, Any] | None = None,
    cluster: Cluster = CLUSTER,
    workspace: dict[str, Any] = WORKSPACE,
) -> Rendered:
    """The files of a stack with one location, changed in some keys."""
    config = copy.deepcopy(CONFIG)
    config["services"][NAME] |= service or {}
    return render(Stack(config), DAGSTER | (dagster or {}), workspace, cluster)


def load(found: Rendered, name: str) -> Any:
    [content] = documents(found.files[name])
    return content


def deployment(found: Rendered) -> Any:
    [one] = load(found, f"{NAME}.values.yaml")["deployments"]
    return one


def objects(found: Rendered, name: str, kind: str) -> dict[str, Any]:
    return {
        f"{each['metadata'].get('namespace', '')}/{each['metadata']['name']}": each
        for each in documents(found.files[name])
        if each["kind"] == kind
    }


def test_a_location_is_carried_whole() -> None:
    one = deployment(rendered())
    environment = {each["name"]: each["value"] for each in one["env"]}
    assert one["name"] == "shop-orders"
    assert one["image"]["repository"] == IMAGE.repository
    assert one["image"]["digest"] == DIGEST
    assert environment["DAGSTER_POSTGRES_USER"] == environment["WAREHOUSE_USER"] == NAME
    assert environment["DAGSTER_POSTGRES_HOST"] == "db.example.com"
    assert environment["AWS_ENDPOINT_URL_S3"] == "http://s3.example.com:8333"
    assert not {"HTTP_PROXY", "DAGSTER_IMAGE_REPOSITORY"} & set(environment)
    assert one["resources"] == {"limits": {"memory": "512Mi", "cpu": "1500m"}}
    assert one["includeConfigInLaunchedRuns"] == {"enabled": True}
    # The image's own command serves: the chart's would listen without our health sign.
    assert not {"dagsterApiGrpcArgs", "codeServerArgs"} & set(one)
    assert environment["CODE_SERVER_ADDRESS"] == "0.0.0.0"  # noqa: S104


def test_secrets_are_files_of_three_secrets_and_no_value_is_written() -> None:
    found = rendered()
    volumes = {each["name"]: each for each in deployment(found)["volumes"]}
    files = {
        item["path"]: source["secret"]["name"]
        for source in volumes["secrets"]["projected"]["sources"]
        for item in source["secret"]["items"]
    }
    assert files == {
        "shop_orders_password": "dagster-postgresql-secret",
        "api_token": "secret-files",
        "aws_access_key_id": "compute-logs",
        "aws_secret_access_key": "compute-logs",
    }
    written = objects(found, "secrets.yaml", "Secret")
    assert set(written) == {
        *("my-stack/dagster-postgresql-secret", "my-stack/compute-logs"),
        *(
            f"my-stack-shop-orders/{name}"
            for name in ("dagster-postgresql-secret", "secret-files", "compute-logs")
        ),
    }
    assert not any({"data", "stringData"} & set(each) for each in written.values())


def test_secrets_of_the_service_are_files_where_it_wants_them() -> None:
    listed = [{"source": "token", "target": "/etc/token"}, {"source": "key"}]
    found = rendered({"secrets": listed})
    one = deployment(found)
    mounts = {each["mountPath"]: each for each in one["volumeMounts"]}
    assert mounts["/etc/token"]["subPath"] == "token"
    volumes = {each["name"]: each for each in one["volumes"]}
    assert [each["key"] for each in volumes["secret-mounts"]["secret"]["items"]] == ["token"]
    [files] = [
        source["secret"]["items"]
        for source in volumes["secrets"]["projected"]["sources"]
        if source["secret"]["name"] == "secret-files"
    ]
    assert [each["path"] for each in files] == ["api_token", "key"]
    assert "--from-file=token=secrets/shop_orders/token" in found.files["secrets.yaml"]


def test_values_mean_the_same_in_kubernetes() -> None:
    environment = LOCATION["environment"] | {"PATTERN": "$(HOME) costs $5"}
    env = deployment(rendered({"environment": environment}))["env"]
    assert {"name": "PATTERN", "value": "$$(HOME) costs $5"} in env


def test_an_own_key_of_the_object_store_writes_the_step_logs_too() -> None:
    key = "/run/secrets/api_token"
    environment = LOCATION["environment"] | {"AWS_ACCESS_KEY_ID_FILE": key}
    names = [each["name"] for each in deployment(rendered({"environment": environment}))["env"]]
    assert names.count("AWS_ACCESS_KEY_ID_FILE") == 1
    assert "AWS_SECRET_ACCESS_KEY_FILE" not in names


def test_a_registry_that_requires_login() -> None:
    cluster = replace(CLUSTER, pull_secret="registry")
    values = load(rendered(cluster=cluster), f"{NAME}.values.yaml")
    assert values["imagePullSecrets"] == [{"name": "registry"}]


def test_the_control_plane_finds_locations_by_their_own_names() -> None:
    values = load(rendered(), "values.yaml")
    assert values["dagsterWebserver"]["workspace"]["servers"] == [
        {"host": "shop-orders.my-stack-shop-orders", "port": 4000, "name": NAME}
    ]
    assert values["postgresql"]["postgresqlHost"] == "db.example.com"
    names = {each["name"] for each in values["dagsterDaemon"]["env"]}
    assert names == {"DAGSTER_POSTGRES_USER", "DAGSTER_STORAGE_DIR"}


def test_settings_of_the_instance() -> None:
    values = load(rendered(), "values.yaml")
    daemon = values["dagsterDaemon"]
    queue = daemon["runCoordinator"]["config"]["customRunCoordinator"]
    assert queue["config"] == {"max_user_code_failure_retries": 12}
    assert daemon["runMonitoring"]["pollIntervalSeconds"] == 15
    assert daemon["runRetries"] == {"enabled": False}
    assert values["concurrency"] == {"enabled": True, "runs": {"maxConcurrentRuns": 10}}
    assert values["additionalInstanceConfig"] == {"freshness": {"enabled": True}}
    launcher = values["runLauncher"]["config"]["customRunLauncher"]["config"]
    run = launcher["run_k8s_config"]
    assert run["pod_spec_config"]["termination_grace_period_seconds"] == 90
    assert run["job_spec_config"] == {"ttl_seconds_after_finished": 86400}


def test_step_logs_of_dagster_yaml() -> None:
    logs = {
        "module": "dagster_aws.s3.compute_log_manager",
        "class": "S3ComputeLogManager",
        "config": {"bucket": "b", "endpoint_url": "http://s3:9000", "upload_interval": 7},
    }
    cluster = Cluster("my_stack", {NAME: IMAGE}, CLUSTER.hosts)
    manager = load(rendered(dagster={"compute_logs": logs}, cluster=cluster), "values.yaml")
    assert manager["computeLogManager"]["config"]["s3ComputeLogManager"] == {
        "bucket": "b",
        "endpointUrl": "http://s3:9000",
        "uploadInterval": 7,
    }


def test_who_reaches_whom() -> None:
    policies = objects(rendered(), "network-policies.yaml", "NetworkPolicy")
    own = "my-stack-shop-orders"
    assert policies[f"{own}/default-deny"]["spec"]["podSelector"] == {}
    assert set(policies[f"{own}/default-deny"]["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    [rule] = policies[f"{own}/code-server"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 4000}]
    [caller] = rule["from"]
    assert caller["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "my-stack"}
    egress = policies[f"{own}/code-location"]["spec"]["egress"]
    assert [port["port"] for port in egress[1]["ports"]] == [5432, 8333, 9000]
    assert egress[2]["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"]


def test_without_the_network_outside_there_is_no_way_out() -> None:
    found = rendered({"networks": {"core": None}})
    policies = objects(found, "network-policies.yaml", "NetworkPolicy")
    egress = policies["my-stack-shop-orders/code-location"]["spec"]["egress"]
    assert all(rule.get("ports") for rule in egress)


def test_runs_are_made_in_their_own_namespace_or_not_at_all() -> None:
    policies = objects(rendered(), "admission-policies.yaml", "ValidatingAdmissionPolicy")
    spec = policies["/my-stack-runs"]["spec"]
    assert spec["failurePolicy"] == "Fail"
    [rule] = spec["validations"]
    assert "dagster/code-location" in rule["expression"]
    roles = objects(rendered(), "namespaces.yaml", "RoleBinding")
    assert list(roles) == ["my-stack-shop-orders/run-launcher"]


def test_limits_that_a_run_may_ask_for() -> None:
    labels = LOCATION["labels"] | {"compose_run_launcher.max_memory": "2g"}
    found = objects(rendered({"labels": labels}), "namespaces.yaml", "LimitRange")
    [limit] = found["my-stack-shop-orders/runs"]["spec"]["limits"]
    assert limit["max"] == {"memory": "2048Mi", "cpu": "1500m"}


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "bind mount": (
        {"volumes": [{"type": "bind", "source": "/srv/data", "target": "/data"}]},
        "shop_orders: bind mount /srv/data at /data",
    ),
    "local volume": (
        {"volumes": [{"type": "volume", "source": "cache", "target": "/cache"}]},
        "shop_orders: local volume cache at /cache",
    ),
    "network_mode": ({"network_mode": "host"}, r"network_mode \(host\)"),
    "devices": ({"devices": [{"source": "/dev/fuse"}]}, "devices"),
    "privileged": ({"privileged": True}, "privileged"),
    "cap_add": ({"cap_add": ["NET_ADMIN"]}, "cap_add"),
    "command": ({"command": ["python", "x.py"]}, "command"),
    "entrypoint": ({"entrypoint": ["sh"]}, "entrypoint"),
    "ports": ({"ports": [{"target": 80}]}, "ports"),
    "user": ({"user": "0:0"}, "user '0:0'"),
    "seccomp": ({"security_opt": ["seccomp=unconfined"]}, "security_opt 'seccomp=unconfined'"),
    "a root to write to": ({"read_only": False}, "read_only is not true"),
    "a name of the chart": (
        {"environment": LOCATION["environment"] | {"DAGSTER_PG_PASSWORD": "x"}},
        "shop_orders: DAGSTER_PG_PASSWORD: the chart or the launcher sets it",
    ),
    "unknown": ({"shm_size": "64m"}, r"shm_size \(64m\)"),
    "placement": ({"deploy": {"placement": {"constraints": ["x"]}}}, "deploy.placement"),
    "GPU": (
        {"deploy": {"resources": {"reservations": {"devices": [{"driver": "nvidia"}]}}}},
        "deploy.resources.reservations.devices",
    ),
    "launcher's label": (
        {"labels": LOCATION["labels"] | {"compose_run_launcher.max_runtime": "60"}},
        "label compose_run_launcher.max_runtime",
    ),
    "another location": (
        {"environment": LOCATION["environment"] | {"OTHER_URL": "http://webserver:3000/x"}},
        "OTHER_URL: 'http://webserver:3000/x' is the service webserver",
    ),
    "no password": (
        {"environment": {"DAGSTER_STORAGE_DIR": "/var/lib/dagster/storage"}},
        "DAGSTER_POSTGRES_PASSWORD_FILE names no file",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_carried_is_refused_by_name(case: str) -> None:
    service, words = REFUSALS[case]
    with pytest.raises(StackctlError, match=words) as refusal:
        rendered(service)
    assert refusal.value.exit_code == REFUSED
    assert str(refusal.value).count("Fix: ") == 1


INSTANCE_REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "launcher": ({"run_launcher": {"class": "DockerRunLauncher"}}, "'DockerRunLauncher'"),
    "launcher's setting": (
        {"run_launcher": {"class": "ComposeRunLauncher", "config": {"new_setting": 1}}},
        "run_launcher.config.new_setting",
    ),
    "storage": ({"storage": {"sqlite": {"base_dir": "/x"}}}, "storage is not postgres"),
    "coordinator": ({"run_coordinator": {"class": "X"}}, "run_coordinator: the chart writes this"),
}


@pytest.mark.parametrize("case", INSTANCE_REFUSALS)
def test_what_dagster_yaml_cannot_say_there(case: str) -> None:
    changed, words = INSTANCE_REFUSALS[case]
    with pytest.raises(StackctlError, match=words):
        rendered(dagster=changed)


def test_all_refusals_are_said_at_once() -> None:
    with pytest.raises(StackctlError) as refusal:
        rendered(cluster=Cluster("my_stack", {NAME: IMAGE}))
    assert str(refusal.value).startswith("4 things cannot be carried")
    assert "HOSTS='postgres=address'" in str(refusal.value)
    assert "LOGS=s3://bucket/prefix" in str(refusal.value)


def test_a_location_that_workspace_yaml_does_not_name() -> None:
    with pytest.raises(StackctlError, match=r"shop_orders: it is not in workspace\.yaml"):
        rendered(workspace={"load_from": []})


def test_a_location_of_workspace_yaml_without_a_service() -> None:
    other = {"grpc_server": {"host": "elsewhere", "port": 4000, "location_name": "elsewhere"}}
    with pytest.raises(StackctlError, match="elsewhere is not a code location"):
        rendered(workspace={"load_from": [*WORKSPACE["load_from"], other]})


def test_a_name_that_is_too_long_for_a_namespace() -> None:
    cluster = Cluster("x" * 60, {NAME: IMAGE}, CLUSTER.hosts, CLUSTER.logs)
    with pytest.raises(StackctlError, match="has 72 characters"):
        rendered(cluster=cluster)


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        (f"ghcr.io/acme/elt@{DIGEST}", Image("ghcr.io/acme/elt", DIGEST)),
        (f"host:5000/elt:1.0@{DIGEST}", Image("host:5000/elt", DIGEST)),
        ("ghcr.io/acme/elt:1.0", None),
    ],
)
def test_images_by_digest(reference: str, image: Image | None) -> None:
    assert Image.parse(reference) == image


def test_the_live_image_in_the_registry_that_is_asked_for() -> None:
    digests = [f"s/elt@{DIGEST}", f"a.example.com/elt@{DIGEST}", f"b.example.com/elt@{DIGEST}"]
    assert choose(digests, "b.example.com") == Image("b.example.com/elt", DIGEST)
    assert choose(digests, "") == Image("a.example.com/elt", DIGEST)
    assert choose(digests, "c.example.com") is None
    # What the engine itself built is nowhere to pull from.
    assert choose(digests[:1], "") is None


@pytest.mark.parametrize("text", ["postgres", "=x", "postgres=a/b", "postgres=http://db"])
def test_hosts_that_are_no_addresses(text: str) -> None:
    with pytest.raises(StackctlError, match="HOSTS has") as refusal:
        parse_hosts(text)
    assert refusal.value.exit_code == USAGE


def test_a_place_for_step_logs_that_is_no_bucket() -> None:
    with pytest.raises(StackctlError, match="not an S3 URL"):
        Logs.parse("file:///logs", "")


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30), ("1m30s", 90), ("1h0m0s", 3600), ("500ms", 1)]
)
def test_durations_of_compose(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository's files, without its compose file: the stack is the one above."""
    (tmp_path / "deploy/control_plane").mkdir(parents=True)
    pins = 'dependencies = ["dagster==1.2.3"]'
    (tmp_path / "deploy/control_plane/pyproject.toml").write_text(pins)
    for name, content in (("dagster.yaml", DAGSTER), ("workspace.yaml", WORKSPACE)):
        (tmp_path / name).write_text(json.dumps(content))
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(Stack, "load", lambda: Stack(copy.deepcopy(CONFIG)))
    return tmp_path


ARGUMENTS: dict[str, Any] = {
    "images": f"{NAME}=ghcr.io/acme/shop_orders@{DIGEST}",
    "hosts": "postgres=db.example.com object-store=s3.example.com",
    "logs": "s3://logs",
}


def test_the_command_writes_a_folder_and_says_what_comes_next(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project / ".artifacts/helm"
    folder.mkdir(parents=True)
    (folder / "gone.values.yaml").touch()
    cli.helm_values(**ARGUMENTS)
    assert {each.name for each in folder.iterdir()} == {
        *("namespaces.yaml", "secrets.yaml", "network-policies.yaml", "admission-policies.yaml"),
        *("values.yaml", "shop_orders.values.yaml"),
    }
    commands = capsys.readouterr().out
    assert "helm upgrade --install shop-orders dagster-user-deployments --version=1.2.3" in commands
    assert "--namespace=my-stack-shop-orders" in commands
    # It has no values, and would take those away that are there.
    assert "kubectl apply --filename=.artifacts/helm/namespaces.yaml" in commands
    assert "--filename=.artifacts/helm/secrets.yaml" not in commands


def test_the_command_writes_nothing_when_something_is_refused(project: Path) -> None:
    with pytest.raises(StackctlError, match="LOGS=s3://bucket/prefix"):
        cli.helm_values(**ARGUMENTS | {"logs": ""})
    assert not (project / ".artifacts").exists()


def test_a_location_that_cannot_write_step_logs(project: Path) -> None:
    lock = project / f"code_locations/{NAME}/uv.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text('[[package]]\nname = "dagster"\n')
    with pytest.raises(StackctlError, match=r"its uv\.lock has no dagster-aws"):
        cli.helm_values(**ARGUMENTS)


def test_an_image_without_a_digest(project: Path) -> None:
    with pytest.raises(StackctlError, match="has no digest") as refusal:
        cli.helm_values(**ARGUMENTS | {"images": f"{NAME}=ghcr.io/acme/shop_orders:1"})
    assert refusal.value.exit_code == USAGE

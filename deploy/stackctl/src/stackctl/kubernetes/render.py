"""All files for a cluster, from what the project's own files say: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML

from stackctl.kubernetes import manifests
from stackctl.kubernetes.cluster import RELEASE, Cluster, dns_name
from stackctl.kubernetes.problems import Problems
from stackctl.kubernetes.values import control_plane_values, location_values
from stackctl.kubernetes.workload import Workload, workload
from stackctl.stack import Stack

_LONGEST = 63
_HEADER = "# Written by `make helm-values` (docs/kubernetes.md): change what it is made from.\n"
_LINK_LOCAL = "169.254.0.0/16"
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Rendered:
    """The files by name, what was left out, and the services that the charts do not run."""

    files: Mapping[str, str]
    notes: Sequence[str]
    left_out: Sequence[str]


def render(
    stack: Stack, dagster: Mapping[str, Any], workspace: Mapping[str, Any], cluster: Cluster
) -> Rendered:
    """The files for a cluster. Raises StackctlError that names all that cannot be carried.

    ``dagster`` and ``workspace`` are the content of dagster.yaml and workspace.yaml.
    """
    problems = Problems()
    ports = _ports(stack, workspace, problems)
    _check_names(stack, cluster, problems)
    loads = [workload(name, stack.config, cluster, problems) for name in stack.locations]
    values = control_plane_values(stack.config, dagster, loads, ports, cluster, problems)
    problems.check()
    files = {
        "namespaces.yaml": _documents(manifests.namespaces(loads, cluster)),
        "secrets.yaml": _secrets(manifests.secrets(loads, cluster)),
        "network-policies.yaml": _documents(
            manifests.network_policies(
                loads,
                cluster,
                values["postgresql"]["service"]["port"],
                _store_ports(loads, values["computeLogManager"]),
                _blocked(stack.config),
            )
        ),
        "admission-policies.yaml": _documents(manifests.admission(cluster)),
        "values.yaml": _HEADER + _yaml(values),
    }
    for load in loads:
        files[f"{load.location}.values.yaml"] = _HEADER + _yaml(location_values(load, cluster))
    return Rendered(files, problems.notes, _left_out(stack))


def next_commands(stack: Stack, cluster: Cluster, folder: str, version: str) -> list[str]:
    """What to run with the files, in this order; ``version`` is Dagster's and the charts'."""
    chart = f"--version={version} --repo=https://dagster-io.github.io/helm"
    return [
        f"kubectl apply --filename={folder}/namespaces.yaml",
        # Applied, the file would take the values away again.
        f"(the commands in {folder}/secrets.yaml make the Secrets)",
        *(
            f"kubectl apply --filename={folder}/{name}-policies.yaml"
            for name in ("network", "admission")
        ),
        *(
            f"helm upgrade --install {dns_name(name)} dagster-user-deployments {chart}"
            f" --namespace={cluster.namespace_of(name)} --values={folder}/{name}.values.yaml"
            for name in stack.locations
        ),
        f"helm upgrade --install {RELEASE} dagster {chart} --namespace={cluster.namespace}"
        f" --values={folder}/values.yaml",
    ]


def _ports(stack: Stack, workspace: Mapping[str, Any], problems: Problems) -> dict[str, int]:
    ports = {}
    for entry in workspace.get("load_from") or ():
        server = entry.get("grpc_server") or {}
        name = server.get("location_name")
        if name not in stack.locations:
            problems.refuse(
                "workspace.yaml",
                f"{name or entry} is not a code location of docker-compose.yml",
                "remove it, or add its service with the label compose_run_launcher.role",
            )
            continue
        for key in set(server) - {"host", "port", "location_name"}:
            problems.refuse("workspace.yaml", f"{name}: {key} is not carried", "remove it")
        ports[name] = int(server.get("port", 0))
    for name in stack.locations:
        if name not in ports:
            problems.refuse(
                name, "it is not in workspace.yaml", "add its entry (docs/locations.md)"
            )
            ports[name] = 0
    return ports


def _check_names(stack: Stack, cluster: Cluster, problems: Problems) -> None:
    for name in stack.locations:
        namespace = cluster.namespace_of(name)
        if len(namespace) > _LONGEST:
            problems.refuse(
                name,
                f"its namespace {namespace} has {len(namespace)} characters, of {_LONGEST} at most",
                "a shorter COMPOSE_PROJECT_NAME in .env",
            )


def _store_ports(loads: Sequence[Workload], logs: Mapping[str, Any]) -> dict[str, list[int]]:
    """Ports of object stores, by location and, as "", of the control plane."""
    endpoint = str(logs["config"]["s3ComputeLogManager"].get("endpointUrl") or "https://aws")
    found = {"": [_port(endpoint)]}
    for load in loads:
        own = (v for k, v in load.environment.items() if k.startswith("AWS_ENDPOINT_URL"))
        found[load.location] = sorted({_port(endpoint), *map(_port, own)})
    return found


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme, 443)


def _blocked(config: Mapping[str, Any]) -> list[str]:
    environment = (config["services"].get("outside_rules") or {}).get("environment") or {}
    return str(environment.get("OUTSIDE_BLOCKED", _LINK_LOCAL)).split()


def _left_out(stack: Stack) -> list[str]:
    carried = {*stack.locations, "daemon", "webserver"}
    return [name for name in stack.config["services"] if name not in carried]


def _documents(found: Sequence[Any]) -> str:
    return _HEADER + "---\n".join(_yaml(each) for each in found)


def _secrets(found: Sequence[tuple[str, Any]]) -> str:
    parts = (f"# {command}\n{_yaml(manifest)}" for command, manifest in found)
    return (
        f"{_HEADER}# No values, and not to be applied: the command above each makes it from files"
        " (docs/kubernetes.md).\n" + "---\n".join(parts)
    )


def _yaml(value: Any) -> str:
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.representer.ignore_aliases = lambda *_: True
    text = StringIO()
    yaml.dump(_plain(value), text)
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def documents(text: str) -> Iterator[Any]:
    """The documents of a YAML text."""
    yield from YAML(typ="safe").load_all(text)

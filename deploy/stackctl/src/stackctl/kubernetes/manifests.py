"""What the charts do not make: namespaces, rights, Secrets, network policies, admission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stackctl.kubernetes.cluster import (
    FILES_SECRET,
    LOGS_KEYS,
    LOGS_SECRET,
    POSTGRES_KEY,
    POSTGRES_SECRET,
    RELEASE,
    Cluster,
)
from stackctl.kubernetes.values import CODE_PORT, WEB_PORT
from stackctl.kubernetes.workload import Workload

LOCATION_LABEL = "code-location"
STACK_LABEL = "stack"
UI_LABEL = "dagster-ui"
"""On a namespace whose pods may ask the webserver: the way in, which checks who asks."""

Manifest = dict[str, Any]


def namespaces(loads: Sequence[Workload], cluster: Cluster) -> list[Manifest]:
    """Namespaces, and what the control plane may do in those of code locations."""
    found = [_namespace(cluster.namespace, {STACK_LABEL: cluster.project})]
    for load in loads:
        name = cluster.namespace_of(load.location)
        labels = {STACK_LABEL: cluster.project, LOCATION_LABEL: load.location}
        found += [_namespace(name, labels), _role(name), _role_binding(name, cluster.namespace)]
        if load.most:
            limits = [{"type": "Container", "max": dict(load.most)}]
            found.append(_object("v1", "LimitRange", "runs", name, {"limits": limits}))
        if load.storage:
            claim: Manifest = {
                # Runs and the code server are on any node.
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": cluster.storage_size}},
            }
            if cluster.storage_class:
                claim["storageClassName"] = cluster.storage_class
            found.append(_object("v1", "PersistentVolumeClaim", "storage", name, claim))
    return found


def _namespace(name: str, labels: Mapping[str, str]) -> Manifest:
    security = "pod-security.kubernetes.io"
    metadata = {
        "name": name,
        "labels": {**labels, f"{security}/enforce": "restricted", f"{security}/warn": "restricted"},
    }
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _role(namespace: str) -> Manifest:
    """What K8sRunLauncher calls: it makes and removes Jobs, and looks at what became of them."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "run-launcher", "namespace": namespace},
        "rules": [
            {
                "apiGroups": ["batch"],
                "resources": ["jobs"],
                "verbs": ["create", "delete", "get", "list", "watch"],
            },
            {"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["get"]},
            {
                "apiGroups": [""],
                "resources": ["events", "pods", "pods/log", "pods/status"],
                "verbs": ["get", "list", "watch"],
            },
        ],
    }


def _role_binding(namespace: str, of: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "run-launcher", "namespace": namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "run-launcher",
        },
        "subjects": [{"kind": "ServiceAccount", "name": RELEASE, "namespace": of}],
    }


def secrets(loads: Sequence[Workload], cluster: Cluster) -> list[tuple[str, Manifest]]:
    """Secrets without values, each with the command that makes it from files."""
    found = [
        _secret(
            POSTGRES_SECRET, cluster.namespace, {POSTGRES_KEY: "control_plane/dagster_password"}
        ),
        _secret(
            LOGS_SECRET, cluster.namespace, {k: f"compute_logs/{k.lower()}" for k in LOGS_KEYS}
        ),
    ]
    for load in loads:
        namespace, folder = cluster.namespace_of(load.location), load.location
        role = {POSTGRES_KEY: f"{folder}/{load.password_file}"}
        found.append(_secret(POSTGRES_SECRET, namespace, role))
        if names := sorted({*load.secret_files, *load.secret_mounts.values()}):
            files = {name: f"{folder}/{name}" for name in names}
            found.append(_secret(FILES_SECRET, namespace, files))
        if not load.own_log_keys:
            files = {key: f"compute_logs_write/{key.lower()}" for key in LOGS_KEYS}
            found.append(_secret(LOGS_SECRET, namespace, files))
    return found


def _secret(name: str, namespace: str, files: Mapping[str, str]) -> tuple[str, Manifest]:
    """With what it is made from: files by key, in folders that the guide names."""
    given = " ".join(f"--from-file={key}=secrets/{path}" for key, path in files.items())
    command = (
        f"kubectl create secret generic {name} --namespace={namespace} {given}"
        " --dry-run=client --output=yaml | kubectl apply --server-side --filename=-"
    )
    metadata = {"name": name, "namespace": namespace}
    return command, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}


def network_policies(
    loads: Sequence[Workload],
    cluster: Cluster,
    database_port: int,
    store_ports: Mapping[str, Sequence[int]],
    blocked: Sequence[str],
) -> list[Manifest]:
    """Who may reach whom: what networks of the compose file say there.

    ``store_ports``: of object stores, by location and, as "", of the control plane. ``blocked``:
    networks that those with access to the outside cannot reach, name servers apart.
    """
    control = cluster.namespace
    services = [database_port]
    found = [
        _policy("default-deny", control, {}, ["Ingress", "Egress"]),
        _policy(
            "web",
            control,
            {"component": "dagster-webserver"},
            ["Ingress"],
            ingress=[_from([_in_namespace({UI_LABEL: "true"})], WEB_PORT)],
        ),
        _policy(
            "control-plane",
            control,
            {},
            ["Egress"],
            egress=[
                _DNS,
                _to([_in_namespace({STACK_LABEL: cluster.project})], CODE_PORT),
                # The API server, where Jobs are made.
                _to(_ANYWHERE, *sorted({*services, *store_ports.get("", ()), 443, 6443})),
            ],
        ),
    ]
    for load in loads:
        namespace = cluster.namespace_of(load.location)
        ports = sorted({*services, *store_ports.get(load.location, ())})
        egress = [_DNS, _to(_ANYWHERE, *ports)]
        if load.outside:
            egress.append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(blocked)}}]})
            if not blocked:
                egress[-1]["to"][0]["ipBlock"].pop("except")
        caller = _in_namespace({"kubernetes.io/metadata.name": control}) | {
            "podSelector": {
                "matchExpressions": [
                    {
                        "key": "component",
                        "operator": "In",
                        "values": ["dagster-webserver", "dagster-daemon"],
                    }
                ]
            }
        }
        found += [
            _policy("default-deny", namespace, {}, ["Ingress", "Egress"]),
            _policy(
                "code-server",
                namespace,
                {"component": "user-deployments"},
                ["Ingress"],
                ingress=[_from([caller], CODE_PORT)],
            ),
            _policy("code-location", namespace, {}, ["Egress"], egress=egress),
        ]
    return found


# Policies know addresses, not names: docs/kubernetes.md says how to narrow this.
_ANYWHERE: list[Manifest] = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
_DNS: Manifest = {
    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
    "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
}


def _in_namespace(labels: Mapping[str, str]) -> Manifest:
    return {"namespaceSelector": {"matchLabels": dict(labels)}}


def _ports(ports: Sequence[int]) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _from(peers: list[Manifest], *ports: int) -> Manifest:
    return {"from": peers, "ports": _ports(ports)}


def _to(peers: list[Manifest], *ports: int) -> Manifest:
    return {"to": peers, "ports": _ports(ports)}


def _policy(
    name: str,
    namespace: str,
    pods: Mapping[str, str],
    types: Sequence[str],
    **rules: list[Manifest],
) -> Manifest:
    spec: Manifest = {
        "podSelector": {"matchLabels": dict(pods)} if pods else {},
        "policyTypes": list(types),
        **rules,
    }
    return _object("networking.k8s.io/v1", "NetworkPolicy", name, namespace, spec)


def admission(cluster: Cluster) -> list[Manifest]:
    """A run's Job is made in the namespace of its own code location, or not at all.

    Which namespace a run gets is what its code server answers. Which location it is of is what the
    daemon writes on the Job, where no code location may write.
    """
    name = f"{cluster.namespace}-runs"
    label = "dagster/code-location"
    selector = {
        "matchLabels": {STACK_LABEL: cluster.project},
        "matchExpressions": [{"key": LOCATION_LABEL, "operator": "Exists"}],
    }
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": selector,
            "resourceRules": [
                {
                    "apiGroups": ["batch"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["jobs"],
                }
            ],
        },
        "validations": [
            {
                "expression": f"has(object.metadata.labels) && '{label}' in object.metadata.labels"
                f" && object.metadata.labels['{label}']"
                f" == namespaceObject.metadata.labels['{LOCATION_LABEL}']",
                "message": "this namespace takes runs of its own code location alone",
                "reason": "Forbidden",
            }
        ],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    group = "admissionregistration.k8s.io/v1"
    return [
        _object(group, "ValidatingAdmissionPolicy", name, "", policy),
        _object(group, "ValidatingAdmissionPolicyBinding", name, "", binding),
    ]


def _object(group: str, kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec}

"""The manifests beside the charts' values, by strict schemas of Kubernetes."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml
from stackctl.kubernetes.render import Rendered

# ValidatingAdmissionPolicy is stable since 1.30.
OLDEST = "1.30"
NEWEST = kubernetes_validate.latest_version()
MANIFESTS = ("namespaces", "secrets", "network-policies", "admission-policies")


def objects(rendered: Rendered, name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(rendered.files[f"{name}.yaml"]))


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_are_valid(rendered: Rendered, name: str) -> None:
    found = objects(rendered, name)
    assert found
    for each in found:
        kubernetes_validate.validate(each, NEWEST, strict=True)


def test_the_oldest_kubernetes_with_the_policys_kind(rendered: Rendered) -> None:
    for each in objects(rendered, "admission-policies"):
        kubernetes_validate.validate(each, OLDEST, strict=True)


def test_the_schemas_refuse_what_kubernetes_does_not_know(rendered: Rendered) -> None:
    [first, *_] = objects(rendered, "network-policies")
    first["spec"]["podSelektor"] = first["spec"].pop("podSelector")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(first, NEWEST, strict=True)


def test_no_secret_of_a_location_is_in_anothers_namespace(rendered: Rendered) -> None:
    found = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in objects(rendered, "secrets")
    }
    files = {space for space, name in found if name == "secret-files"}
    # Of these, elt alone has secrets beside its role's password.
    assert files == {"dagster-stack-elt"}
    assert {space for space, name in found if name == "dagster-postgresql-secret"} == {
        *("dagster-stack", "dagster-stack-elt", "dagster-stack-analytics"),
        "dagster-stack-shop-orders",
    }


def test_every_secret_that_a_pod_mounts_is_written(rendered: Rendered) -> None:
    written = {
        (each["metadata"]["namespace"], each["metadata"]["name"])
        for each in objects(rendered, "secrets")
    }
    mounted = set()
    for name in ("elt", "analytics", "shop_orders"):
        [deployment] = yaml.safe_load(rendered.files[f"{name}.values.yaml"])["deployments"]
        [secrets] = [each for each in deployment["volumes"] if each["name"] == "secrets"]
        mounted |= {
            (f"dagster-stack-{deployment['name']}", source["secret"]["name"])
            for source in secrets["projected"]["sources"]
        }
    assert mounted <= written


def test_nobody_but_elt_gets_out(rendered: Rendered) -> None:
    """As in docker-compose.yml, where it alone is in the network `outside`."""
    out = {
        each["metadata"]["namespace"]
        for each in objects(rendered, "network-policies")
        for rule in each["spec"].get("egress", ())
        if "ports" not in rule
    }
    assert out == {"dagster-stack-elt"}

"""Edits of the real files: they add lines, and taking a location out takes these away again."""

import difflib
import ipaddress
import itertools
import shutil
import tomllib
from pathlib import Path

import pytest

from stackctl.docker import COMPOSE_FILE
from stackctl.errors import StackctlError
from stackctl.location import compose_file, files
from stackctl.location.files import Project

EMBEDDED = "deploy/embedded/locations.toml"


def snapshot(root: Path) -> dict[Path, bytes]:
    """Every file and what is in it."""
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("loader", [False, True])
def test_added_lines_are_all_that_differs(project: Project, loader: bool) -> None:
    after = project.with_location("eu_sales", loader=loader)
    for name, text in project.texts.items():
        changed = list(difflib.ndiff(text.splitlines(), after.texts[name].splitlines()))
        lost = {line[2:] for line in changed if line.startswith("- ")}
        new = [line[2:] for line in changed if line.startswith("+ ")]
        assert bool(new) is (loader or name != EMBEDDED), name
        # Two lists by commas grow at their ends.
        for line in lost:
            head = line.removesuffix('"]')
            assert any(other.startswith(f"{head},eu_sales") for other in new), line


def test_the_new_service_is_like_the_others(project: Project) -> None:
    before, after = project.compose, project.with_location("eu_sales").compose
    assert set(after["services"]) - set(before["services"]) == {"eu_sales"}
    assert list(after["services"]).index("eu_sales") == 1 + list(after["services"]).index(
        "analytics"
    )
    # One has a dbt project; a new one begins without.
    watched = before["services"]["analytics"]["develop"]["watch"]
    watched[:] = [rule for rule in watched if not rule["path"].endswith("/dbt")]
    named = repr(after["services"]["eu_sales"]).replace("eu_sales", "analytics")
    like = named.replace("EU_SALES", "ANALYTICS")
    assert like == repr(before["services"]["analytics"])
    [network] = set(after["networks"]) - set(before["networks"])
    assert network == "rpc_eu_sales"
    theirs, its = (dict(after["networks"][f"rpc_{name}"]) for name in ("analytics", "eu_sales"))
    assert its.pop("name") == "${COMPOSE_PROJECT_NAME}_rpc_eu_sales"
    assert its.pop("ipam") != theirs.pop("ipam")
    theirs.pop("name")
    assert its == theirs
    assert set(after["volumes"]) - set(before["volumes"]) == {
        "secrets_eu_sales",
        "storage_eu_sales",
    }
    assert (
        compose_file.locations(project.with_location("eu_sales").texts[COMPOSE_FILE])[-1]
        == "eu_sales"
    )


def test_with_the_loader_it_has_a_landing_zone_as_elt_has(project: Project) -> None:
    after = project.with_location("eu_sales", loader=True)
    services = after.compose["services"]
    service, elt = services["eu_sales"], services["elt"]
    environment = dict(service["environment"])
    assert environment.pop("LANDING_ZONE") == "${EU_SALES_LANDING_ZONE:-s3://landing/eu_sales}"
    store = {name for name in elt["environment"] if name.startswith(("AWS_", "LANDING_ZONE"))}
    for name in store - {"LANDING_ZONE"}:
        assert environment[name] == elt["environment"][name]
    assert service["networks"] == ["core", "rpc_eu_sales", "objects"]
    keys = "object_store_access_key,object_store_secret_key"
    share = f"--share=/secrets/eu_sales:10001=eu_sales_password,{keys}"
    assert share in services["secrets"]["command"]
    watched = [rule["path"] for rule in service["develop"]["watch"]]
    assert "packages/postgres_loader/src" in watched
    settings = after.texts[".env.example"].splitlines()
    assert "#EU_SALES_LANDING_ZONE=s3://landing/eu_sales" in settings
    embedded = tomllib.loads(after.texts[EMBEDDED])
    assert embedded["eu_sales"]["prepare"] == ["python", "-m", "eu_sales.sample_data"]
    mine, theirs = (embedded[name]["settings"] for name in ("eu_sales", "elt"))
    assert mine.pop("LANDING_ZONE") == "EU_SALES_LANDING_ZONE"
    assert mine.items() <= theirs.items()
    assert "/landing_zone_eu_sales" in embedded["eu_sales"]["environment"]["LANDING_ZONE"]


def subnets(project: Project) -> list[str]:
    """Of the RPC networks, in the file's order."""
    networks = project.compose["networks"]
    return [
        network["ipam"]["config"][0]["subnet"]
        for name, network in networks.items()
        if name.startswith("rpc_")
    ]


def test_each_location_has_a_subnet_of_its_own(project: Project) -> None:
    first = subnets(project)
    for number in range(10):
        project = project.with_location(f"location{number}")
    assert len(set(subnets(project))) == len(first) + 10
    prefix = "${RPC_SUBNETS:-198.18}"
    networks = [ipaddress.ip_network(s.replace(prefix, "198.18")) for s in subnets(project)]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(networks, 2))
    # One that is given back is given again.
    given_back = subnets(project)[len(first) + 3]
    project = project.without_location("location3").with_location("another")
    assert subnets(project)[-1] == given_back


def test_no_image_of_ours_is_pulled(project: Project) -> None:
    services = project.with_location("eu_sales").compose["services"]
    ours = {
        name: service.get("pull_policy")
        for name, service in services.items()
        if "build" in service or "${COMPOSE_PROJECT_NAME}/" in service["image"]
    }
    assert set(ours) == set(services) - {
        *("postgres", "object_store", "sso", "warehouse_port", "prometheus", "grafana")
    }
    assert set(ours.values()) == {"never"}


@pytest.mark.parametrize("order", [("a1", "b2", "a"), ("a", "a1", "b2"), ("b2", "a", "a1")])
def test_taken_out_in_any_order_nothing_is_left(project: Project, order: tuple[str, ...]) -> None:
    changed = project.with_location("a").with_location("a1", loader=True)
    changed = changed.with_location("b2", loader=True)
    for name in order:
        changed = changed.without_location(name)
    assert changed.texts == project.texts


def test_a_location_of_a_person_can_be_taken_out(project: Project) -> None:
    without = project.without_location("analytics")
    assert set(project.compose["services"]) - set(without.compose["services"]) == {"analytics"}
    assert "analytics" not in without.texts["workspace.yaml"] + without.texts["dg.toml"]
    with pytest.raises(StackctlError, match="last code location"):
        without.without_location("elt")


def test_a_workspace_in_another_style(project: Project) -> None:
    style = "load_from:\n- grpc_server:\n    host: a\n    location_name: a\n    port: 4000\n# end\n"
    other = Project(project.root, {**project.texts, "workspace.yaml": style})
    added = other.with_location("b")
    assert "4000\n- grpc_server:\n    host: b\n" in added.texts["workspace.yaml"]
    assert added.texts["workspace.yaml"].endswith("location_name: b\n# end\n")
    assert added.without_location("b").texts["workspace.yaml"] == style
    flow = {**project.texts, "workspace.yaml": "load_from: [{grpc_server: {location_name: a}}]\n"}
    with pytest.raises(StackctlError, match="on a line of its own"):
        Project(project.root, flow).with_location("b")


@pytest.mark.parametrize(
    ("was", "instead", "reason"),
    [
        ("--locations=", "--places=", "nothing in services.migrate.command .* --locations="),
        ("  secrets:\n    <<", "  passwords:\n    <<", "there is no services.secrets"),
        ("\nservices:\n", "\nservices\n", "is not valid YAML"),
    ],
)
def test_a_file_of_another_shape_is_named(
    project: Project, was: str, instead: str, reason: str
) -> None:
    texts = {**project.texts, COMPOSE_FILE: project.texts[COMPOSE_FILE].replace(was, instead)}
    with pytest.raises(StackctlError, match=f"docker-compose.yml:? {reason}"):
        Project(project.root, texts).with_location("b")


def test_a_change_that_touches_more_is_refused(project: Project) -> None:
    with pytest.raises(StackctlError, match="would touch marketing"):
        project.check(set(project.compose["services"]) | {"marketing"})


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command")
def test_a_change_that_compose_does_not_take_is_refused(project: Project) -> None:
    text = project.texts[COMPOSE_FILE].replace("  storage_elt:\n  storage_a", "  storage_a")
    with pytest.raises(StackctlError, match=r"would be invalid: .*storage_elt"):
        Project(project.root, {**project.texts, COMPOSE_FILE: text}).check(
            set(project.compose["services"])
        )


def test_a_failure_in_the_middle_puts_everything_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(project.root)
    written = []
    original = files._replace

    def fail_at_the_third(path: Path, text: str) -> None:
        written.append(path.name)
        if len(written) == 3:
            raise StackctlError("the disk is full")
        original(path, text)

    monkeypatch.setattr(files, "_replace", fail_at_the_third)
    after = project.with_location("marketing")
    with pytest.raises(StackctlError, match="disk is full"), project.put_back_on_failure():
        after.write()
    assert len(written) > 3
    assert snapshot(project.root) == before


def test_modes_and_line_ends_stay(project: Project) -> None:
    path = project.root / "dg.toml"
    path.chmod(0o640)
    project.with_location("marketing").write()
    assert path.stat().st_mode & 0o777 == 0o640
    assert 'path = "code_locations/marketing"' in path.read_text()


def test_a_missing_file_is_named(project: Project) -> None:
    (project.root / "dg.toml").unlink()
    with pytest.raises(StackctlError, match=r"dg\.toml"):
        Project.read(project.root)

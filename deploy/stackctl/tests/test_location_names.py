"""Names that a new code location cannot have, and what is said of them."""

import pytest

from stackctl.docker import COMPOSE_FILE
from stackctl.errors import REFUSED, USAGE, StackctlError
from stackctl.location import names
from stackctl.location.files import Project


def check(project: Project, name: str) -> None:
    """As `make location` does."""
    names.check(name, project.compose, project.texts[COMPOSE_FILE], project.root)


@pytest.mark.parametrize("name", ["marketing", "eu_sales_2", "x", "a" * 40])
def test_good_names(project: Project, name: str) -> None:
    check(project, name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "1st", "with-dash", "With_Capital", "with space", "a.b", "../x", "-x", "_x", "x_"),
        *(
            "a__b",
            "größe",
            "маркетинг",
            "😀",
            "x\n",
            "a" * 41,
            "a" * 200,
            "$(id)",
            "class",
            "match",
        ),
    ],
)
def test_what_is_no_name_is_a_mistake_of_usage(project: Project, name: str) -> None:
    with pytest.raises(StackctlError, match=r"Fix:|For example") as refusal:
        check(project, name)
    assert refusal.value.exit_code == USAGE
    assert len(str(refusal.value)) < 250
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("elt", "docker-compose.yml has 'elt' among its services"),
        ("webserver", "among its services"),
        ("core", "among its networks"),
        ("compute_logs", "among its volumes"),
        ("control_plane", "'secrets_control_plane' among its volumes"),
        ("haproxy", "the setting HAPROXY_IMAGE"),
        *((name, "Postgres") for name in ("dagster", "warehouse", "raw", "pg_catalog", "public")),
        ("json", "standard library"),
        ("pydantic", "installed package"),
        ("yaml", "installed package"),
        ("localhost", "hosts"),
        ("tests", "the project"),
        ("compose_run_launcher", "shared package packages/compose_run_launcher"),
    ],
)
def test_what_is_taken_is_refused(project: Project, name: str, reason: str) -> None:
    with pytest.raises(StackctlError, match=reason) as refusal:
        check(project, name)
    assert refusal.value.exit_code == REFUSED
    assert repr(name) in str(refusal.value)


def test_a_folder_is_not_taken_over(project: Project) -> None:
    project.folder("marketing").mkdir()
    with pytest.raises(StackctlError, match="folder code_locations/marketing"):
        check(project, "marketing")


def test_a_shared_package_is_not_shadowed(project: Project) -> None:
    (project.root / "packages").unlink()
    (project.root / "packages" / "pricing").mkdir(parents=True)
    with pytest.raises(StackctlError, match="shared package packages/pricing"):
        check(project, "pricing")

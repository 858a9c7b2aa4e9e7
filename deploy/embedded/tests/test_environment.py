from pathlib import Path

import pytest
import yaml

from embedded.environment import Environments
from embedded.locations import Location, read_locations
from embedded.settings import Paths


def environments(
    paths: Paths, settings: dict[str, str] | None = None, shell: dict[str, str] | None = None
) -> Environments:
    return Environments(paths, settings or {}, shell or {}, run_id="run", postgres_port=5433)


def location(root: Path, name: str) -> Location:
    return next(each for each in read_locations(root) if each.name == name)


@pytest.mark.parametrize("name", ["elt", "analytics"])
def test_a_location_has_its_own_role_and_no_other_password(paths: Paths, name: str) -> None:
    environment = environments(paths).location(location(paths.root, name))
    assert environment["DAGSTER_POSTGRES_USER"] == environment["WAREHOUSE_USER"] == name
    assert environment["WAREHOUSE_PASSWORD"] == f"secret-of-{name}"
    passwords = {value for value in environment.values() if value.startswith("secret-of-")}
    assert passwords == {f"secret-of-{name}"}
    assert environment["WAREHOUSE_PORT"] == environment["DAGSTER_POSTGRES_PORT"] == "5433"


def test_storage_is_per_location_and_step_output_is_shared(paths: Paths) -> None:
    made = [environments(paths).location(location(paths.root, n)) for n in ("elt", "analytics")]
    assert made[0]["DAGSTER_STORAGE_DIR"] != made[1]["DAGSTER_STORAGE_DIR"]
    assert made[0]["DAGSTER_COMPUTE_LOGS_DIR"] == made[1]["DAGSTER_COMPUTE_LOGS_DIR"]


def test_the_landing_zone_is_a_folder_for_elt_alone(paths: Paths) -> None:
    shell = {"LANDING_ZONE": "s3://from-the-shell"}
    built = environments(paths, shell=shell)
    elt, analytics = (built.location(location(paths.root, n)) for n in ("elt", "analytics"))
    assert elt["LANDING_ZONE"] == (paths.data / "landing_zone").as_uri()
    assert "LANDING_ZONE" not in analytics


def test_settings_win_over_this_mode_s_values_and_empty_ones_count_as_unset(paths: Paths) -> None:
    settings = {"LANDING_ZONE": "", "LANDING_ZONE_ENDPOINT": "http://store", "UNKNOWN": "x"}
    environment = environments(paths, settings).location(location(paths.root, "elt"))
    assert environment["LANDING_ZONE"] == (paths.data / "landing_zone").as_uri()
    assert environment["AWS_ENDPOINT_URL_S3"] == "http://store"
    assert not {"LANDING_ZONE_ENDPOINT", "UNKNOWN"} & set(environment)
    settings = {"LANDING_ZONE": "s3://mine"}
    environment = environments(paths, settings).location(location(paths.root, "elt"))
    assert environment["LANDING_ZONE"] == "s3://mine"


def test_nothing_of_another_instance_comes_in_from_the_shell(paths: Paths) -> None:
    shell = {
        "PATH": "/bin",
        "DAGSTER_HOME": "/elsewhere",
        "DAGSTER_CURRENT_IMAGE": "image",
        "PGPASSWORD": "x",
        "VIRTUAL_ENV": "/venv",
        "PYTHONPATH": "/lib",
    }
    environment = environments(paths, shell=shell).location(location(paths.root, "elt"))
    assert environment["PATH"] == "/bin"
    assert environment["DAGSTER_HOME"] == str(paths.dagster_home)
    assert not {"DAGSTER_CURRENT_IMAGE", "PGPASSWORD", "VIRTUAL_ENV", "PYTHONPATH"} & set(
        environment
    )


def test_migrate_reads_passwords_from_files_and_gets_no_superuser_password(paths: Paths) -> None:
    environment = environments(paths).migrate()
    assert environment["POSTGRES_PORT"] == "5433"
    assert "secret-of-postgres" not in environment.values()


def test_the_daemon_waits_for_locations_of_backfills_as_in_docker(paths: Paths) -> None:
    compose = yaml.safe_load(
        (Path(__file__).resolve().parents[3] / "docker-compose.yml").read_text()
    )
    daemon = compose["services"]["daemon"]["environment"]
    wanted = {name: value for name, value in daemon.items() if "BACKFILL" in name}
    assert wanted and environments(paths).control_plane().items() >= wanted.items()

import sys
from pathlib import Path

import dagster as dg
from location_kit.postgres import PostgresResource

from analytics.dbt_project import PROJECT, DbtCli


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={
            "postgres": PostgresResource(
                host=dg.EnvVar("WAREHOUSE_HOST"),
                port=dg.EnvVar.int("WAREHOUSE_PORT"),
                user=dg.EnvVar("WAREHOUSE_USER"),
                password=dg.EnvVar("WAREHOUSE_PASSWORD"),
                database=dg.EnvVar("WAREHOUSE_DB"),
                schema_="marts",
            ),
            # Reads the same settings, in dbt/profiles.yml.
            "dbt": DbtCli(
                project_dir=str(PROJECT.project_dir),
                # This environment's, whatever PATH says.
                dbt_executable=str(Path(sys.executable).with_name("dbt")),
                global_config_flags=["--no-use-colors", "--log-level-file=none"],
            ),
        }
    )

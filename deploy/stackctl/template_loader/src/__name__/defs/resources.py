import dagster as dg
from location_kit import PostgresResource
from postgres_loader import LandingZoneResource


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={
            "landing_zone": LandingZoneResource.from_environment(),
            "postgres": PostgresResource(
                host=dg.EnvVar("WAREHOUSE_HOST"),
                port=dg.EnvVar.int("WAREHOUSE_PORT"),
                user=dg.EnvVar("WAREHOUSE_USER"),
                password=dg.EnvVar("WAREHOUSE_PASSWORD"),
                database=dg.EnvVar("WAREHOUSE_DB"),
                schema_="__name__",
            ),
        }
    )

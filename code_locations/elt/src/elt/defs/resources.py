import os

import dagster as dg

from elt.landing_zone import LandingZone, open_landing_zone
from elt.postgres import PostgresResource

USERS_API_URL = "https://jsonplaceholder.typicode.com"
USERS_API_TIMEOUT_S = "10"


class LandingZoneResource(dg.ConfigurableResource):
    """The landing zone at `file:///folder` or `s3://bucket[/prefix]`."""

    uri: str

    def open(self) -> LandingZone:
        """Raises LandingZoneError when the URI is neither."""
        return open_landing_zone(self.uri)


class UsersApiResource(dg.ConfigurableResource):
    """Where the users API is, without `/users`, and how long a request may wait, in seconds."""

    base_url: str
    timeout_s: float


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={
            "landing_zone": LandingZoneResource(uri=dg.EnvVar("LANDING_ZONE")),
            "postgres": PostgresResource(
                host=dg.EnvVar("WAREHOUSE_HOST"),
                port=dg.EnvVar.int("WAREHOUSE_PORT"),
                user=dg.EnvVar("WAREHOUSE_USER"),
                password=dg.EnvVar("WAREHOUSE_PASSWORD"),
                database=dg.EnvVar("WAREHOUSE_DB"),
                schema_="raw",
            ),
            # EnvVar knows no default, so these are read when the definitions are loaded.
            "users_api": UsersApiResource(
                base_url=os.environ.get("USERS_API_URL") or USERS_API_URL,
                timeout_s=float(os.environ.get("USERS_API_TIMEOUT_S") or USERS_API_TIMEOUT_S),
            ),
        }
    )

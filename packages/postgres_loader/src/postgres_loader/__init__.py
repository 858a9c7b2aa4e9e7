"""Files of a landing zone and records of an API into declared Postgres tables.

A location declares a `Table`, gets its asset from `table_asset` and the sensor of all its tables
from `build_landing_zone_sensor`.
"""

from postgres_loader.assets import table_asset
from postgres_loader.errors import LoaderError
from postgres_loader.rejected_rows import delete_old_rejected_rows
from postgres_loader.resources import LandingZoneResource
from postgres_loader.sensor import build_landing_zone_sensor
from postgres_loader.tables import Column, Table

__all__ = [
    "Column",
    "LandingZoneResource",
    "LoaderError",
    "Table",
    "build_landing_zone_sensor",
    "delete_old_rejected_rows",
    "table_asset",
]

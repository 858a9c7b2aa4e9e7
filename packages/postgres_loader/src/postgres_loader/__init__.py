"""Files of a landing zone and records of an API into declared Postgres tables.

A location declares a `Table`, gets its asset from `table_asset` and the sensor of all its tables
from `build_landing_zone_sensor`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_MODULES = {
    "Column": "tables",
    "LandingZoneResource": "resources",
    "LoaderError": "errors",
    "Table": "tables",
    "build_landing_zone_sensor": "sensor",
    "delete_old_rejected_rows": "rejected_rows",
    "table_asset": "assets",
}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: putting sample files into a landing zone needs no Dagster,
    whose import takes more than a second of CPU time at each start of the stack."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

"""Entry point of the code location: all that `defs/` holds, under the location's policy."""

from pathlib import Path

import dagster as dg
from location_kit import LocationDefinitions, executor

defs = LocationDefinitions.from_definitions(
    dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(executor=executor),
    )
)

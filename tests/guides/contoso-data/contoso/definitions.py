"""All that the modules of assets/ and jobs/ hold."""

import importlib
import pkgutil

from dagster import (
    AssetsDefinition,
    Definitions,
    JobDefinition,
    ScheduleDefinition,
)
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from contoso import assets, jobs
from contoso.resources import resources

found = {AssetsDefinition: [], ScheduleDefinition: [], JobDefinition: []}
for package in (assets, jobs):
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, AssetsDefinition) and value not in found[AssetsDefinition]:
                found[AssetsDefinition].append(value)
            elif isinstance(value, ScheduleDefinition):
                found[ScheduleDefinition].append(value)
            elif isinstance(value, (JobDefinition, UnresolvedAssetJobDefinition)):
                found[JobDefinition].append(value)

defs = Definitions(
    assets=found[AssetsDefinition],
    jobs=found[JobDefinition],
    schedules=found[ScheduleDefinition],
    resources=resources,
)

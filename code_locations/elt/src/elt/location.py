"""What a code location decides for all of its definitions."""

from collections.abc import Sequence

import dagster as dg
from dagster_shared.record import as_dict

# A run already has a container (or process tree) of its own, so a process per step buys no
# isolation and costs seconds a step. The launchpad's `execution: config: multiprocess: {}`
# still gives parallel steps to a run that wants them.
executor = dg.multi_or_in_process_executor.configured(
    lambda config: config,
    config_schema=dg.Field(
        dg.multi_or_in_process_executor.config_schema.config_type,
        default_value={"in_process": {}},
    ),
)


class LocationDefinitions(dg.Definitions):
    """`dagster.Definitions` with the listing that its public interface lacks."""

    @classmethod
    def from_definitions(cls, definitions: dg.Definitions) -> "LocationDefinitions":
        """The same definitions, as this class."""
        return cls(**as_dict(definitions))

    def get_all_schedules(self) -> Sequence[dg.ScheduleDefinition]:
        """Every schedule, jobs and resources bound."""
        return self.get_repository_def().schedule_defs

"""What a code location decides for all of its definitions."""

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


class Schedules(list[dg.ScheduleDefinition]):
    """Schedules that print as what they do, rather than as objects at an address."""

    def __repr__(self) -> str:
        return "\n".join(f"{s.name}: {s.cron_schedule} {s.execution_timezone}" for s in self)


class LocationDefinitions(dg.Definitions):
    """`dagster.Definitions` with the listing that its public interface lacks."""

    @classmethod
    def from_definitions(cls, definitions: dg.Definitions) -> "LocationDefinitions":
        """The same definitions, as this class."""
        return cls(**as_dict(definitions))

    def get_all_schedules(self) -> Schedules:
        """Every schedule, with job and resources bound."""
        return Schedules(self.get_repository_def().schedule_defs)

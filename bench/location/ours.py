"""The jobs under the policy that this project's template gives every location."""

import dagster as dg
from jobs import events_job, four_op_job, one_op_job
from location_kit.definitions import executor

defs = dg.Definitions(jobs=[one_op_job, four_op_job, events_job], executor=executor)

"""The jobs as Dagster's documentation has it: no executor named."""

import dagster as dg
from jobs import events_job, four_op_job, one_op_job

defs = dg.Definitions(jobs=[one_op_job, four_op_job, events_job])

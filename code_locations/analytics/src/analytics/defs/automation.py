import dagster as dg

# What asks for runs when tables of elt change; see analytics/automation.py for when.
automation_sensor = dg.AutomationConditionSensorDefinition(
    name="analytics_automation_sensor",
    description="Requests one run of everything that depends on a table of elt that has changed.",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
)

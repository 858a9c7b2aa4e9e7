import dagster as dg

# What asks for runs when tables of elt change; see analytics/automation.py for when.
automation_sensor = dg.AutomationConditionSensorDefinition(
    name="analytics_automation_sensor",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
)

from dagster import asset


@asset(group_name="crm", required_resource_keys={"crm"})
def contacts(context) -> None:
    """Everyone whom the sales team knows."""
    context.log.info(f"{len(context.resources.crm.contacts())} contacts")

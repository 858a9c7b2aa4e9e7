from dagster import ConfigurableResource


class Crm(ConfigurableResource):
    """The CRM's REST API."""

    url: str

    def contacts(self) -> list:
        return [{"name": "Ada", "at": self.url}]

import json
from pathlib import Path

import requests
from dagster import ConfigurableResource


class ShopApi(ConfigurableResource):
    """The shop's REST API."""

    url: str
    token: str

    def get(self, path: str) -> list[dict]:
        response = requests.get(
            f"{self.url}/{path}", headers={"Authorization": f"Bearer {self.token}"}, timeout=30
        )
        response.raise_for_status()
        return response.json()


class Warehouse(ConfigurableResource):
    """One file of JSON per table."""

    path: str

    def write(self, table: str, rows: list[dict]) -> None:
        file = Path(self.path) / f"{table}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(rows))

    def read(self, table: str) -> list[dict]:
        return json.loads((Path(self.path) / f"{table}.json").read_text())

import json
from pathlib import Path

from dagster import ConfigurableResource


class Files(ConfigurableResource):
    """One file of JSON per table."""

    folder: str

    def write(self, table: str, rows: list) -> None:
        Path(self.folder, f"{table}.json").write_text(json.dumps(rows))

    def read(self, table: str) -> list:
        return json.loads(Path(self.folder, f"{table}.json").read_text())

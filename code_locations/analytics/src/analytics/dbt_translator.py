"""What dbt's models look like as assets."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from analytics.automation import HOURLY, when_changed, with_upstream
from analytics.dbt_project import dagster_dbt

OWNERS = ["team:analytics"]
# Group of the models that people read: the folder's name.
MARTS = "marts"


class Translator(dagster_dbt.DagsterDbtTranslator):
    """dagster-dbt's own, and what this location decides for all models.

    Keys are schema and name (staging/stg_orders), groups are folders. `sources` are the keys of
    all of the project's sources.
    """

    def __init__(self, sources: Sequence[dg.AssetKey]) -> None:
        super().__init__()
        self.sources = sources

    def get_asset_spec(
        self,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: dagster_dbt.DbtProject | None,
    ) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        if unique_id.startswith("source."):
            return spec
        return spec.replace_attributes(
            owners=OWNERS,
            freshness_policy=HOURLY if spec.group_name == MARTS else None,
            automation_condition=self._condition(spec),
        )

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return dagster_dbt.group_from_dbt_resource_props_fallback_to_directory(dbt_resource_props)

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        # dagster-dbt's own appends the model's SQL, which hides the description in lists.
        return str(dbt_resource_props.get("description") or "")

    def _condition(self, spec: dg.AssetSpec) -> dg.AutomationCondition:
        read = {dep.asset_key for dep in spec.deps} & set(self.sources)
        return when_changed(read, self.sources) | with_upstream if read else with_upstream


def source_keys(manifest: Mapping[str, Any]) -> list[dg.AssetKey]:
    """The asset keys of a manifest's sources."""
    plain = dagster_dbt.DagsterDbtTranslator()
    return [plain.get_asset_key(source) for source in manifest["sources"].values()]

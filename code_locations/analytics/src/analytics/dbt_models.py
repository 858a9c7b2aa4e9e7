"""The models of a dbt project as assets, and their tests as checks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
from location_kit.postgres import PostgresResource
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from analytics.dbt_project import DbtCli, dagster_dbt, read_manifest
from analytics.dbt_sources import SourcesMissing, require, sources_of
from analytics.dbt_translator import Translator, source_keys


def models_of(project: dagster_dbt.DbtProject) -> dg.AssetsDefinition:
    """All models and tests of the project, from its manifest. Raises ManifestMissing."""
    manifest = read_manifest(project)

    @dagster_dbt.dbt_assets(
        manifest=manifest,
        project=project,
        dagster_dbt_translator=Translator(source_keys(manifest)),
        name="dbt_models",
        # Two builds of one project at once would replace each other's tables halfway.
        pool="dbt",
    )
    def dbt_models(
        context: dg.AssetExecutionContext, dbt: DbtCli, postgres: PostgresResource
    ) -> Iterator[Any]:
        with postgres.get_connection() as connection, TemporaryDirectory(prefix="dbt-") as target:
            # No transaction stays open: dbt would wait for its locks.
            connection.autocommit = True
            _require_sources(connection, manifest, context)
            build = dbt.cli(["build"], context=context, target_path=Path(target))
            for event in build.stream():
                if isinstance(event, dg.Output):
                    event = _with_row_count(event, connection, manifest)
                yield event

    return dbt_models


def _require_sources(
    connection: Connection, manifest: Mapping[str, Any], context: dg.AssetExecutionContext
) -> None:
    models = [
        spec.metadata["dagster_dbt/unique_id"]
        for spec in context.assets_def.specs
        if spec.key in context.selected_asset_keys
    ]
    try:
        with connection.cursor() as cursor:
            require(cursor, sources_of(manifest, models))
    except SourcesMissing as error:
        raise dg.Failure(description=str(error)) from None


def _with_row_count(
    event: dg.Output[Any], connection: Connection, manifest: Mapping[str, Any]
) -> dg.Output[Any]:
    model = manifest["nodes"][event.metadata["unique_id"].value]
    # To count a view's rows is to run its query.
    if model["config"]["materialized"] == "view":
        return event
    with connection.cursor() as cursor:
        table = sql.Identifier(model["schema"], model["alias"])
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(table))
        (rows,) = cursor.fetchone() or (0,)
    return event.with_metadata({**event.metadata, "dagster/row_count": rows})

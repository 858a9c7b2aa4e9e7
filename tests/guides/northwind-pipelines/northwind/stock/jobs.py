from dagster import AssetKey, RunRequest, asset_sensor, define_asset_job

count_stock_job = define_asset_job("count_stock_job", selection="stock")


@asset_sensor(asset_key=AssetKey("sold"), job=count_stock_job)
def low_stock_sensor(context, asset_event):
    yield RunRequest(run_key=context.cursor)

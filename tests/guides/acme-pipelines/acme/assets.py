from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    Config,
    DailyPartitionsDefinition,
    MaterializeResult,
    SourceAsset,
    asset,
    asset_check,
    multi_asset,
)

from .money import total_cents
from .resources import ShopApi, Warehouse

days = DailyPartitionsDefinition(start_date="2026-01-01")

exchange_rates = SourceAsset("exchange_rates", description="Made by the finance team.")


class CatalogConfig(Config):
    only_available: bool = True


@multi_asset(
    specs=[
        AssetSpec("products", kinds={"json"}, description="What the shop sells."),
        AssetSpec("suppliers", kinds={"json"}, skippable=True),
    ],
)
def catalog(config: CatalogConfig, shop: ShopApi, warehouse: Warehouse):
    products = shop.get("products")
    if config.only_available:
        products = [product for product in products if product["available"]]
    warehouse.write("products", products)
    yield MaterializeResult("products", metadata={"dagster/row_count": len(products)})
    warehouse.write("suppliers", shop.get("suppliers"))
    yield MaterializeResult("suppliers")


@asset(partitions_def=days, kinds={"json"}, owners=["team:sales"])
def orders(context: AssetExecutionContext, shop: ShopApi, warehouse: Warehouse) -> None:
    """Orders of one day."""
    warehouse.write(f"orders/{context.partition_key}", shop.get(f"orders/{context.partition_key}"))


@asset(partitions_def=days, deps=[orders, "products", exchange_rates], tags={"tier": "gold"})
def revenue(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
    """Revenue of one day, in cents."""
    lines = warehouse.read(f"orders/{context.partition_key}")
    cents = total_cents(lines)
    warehouse.write(f"revenue/{context.partition_key}", [{"revenue_cents": cents}])
    return MaterializeResult(metadata={"revenue_cents": cents})


@asset(key=AssetKey(["reports", "reorder"]), deps=["products", "suppliers"])
def reorder(warehouse: Warehouse) -> None:
    """Products that run out."""
    low = [product for product in warehouse.read("products") if product["stock"] < 10]
    warehouse.write("reorder", low)


@asset_check(asset="products")
def products_have_prices(warehouse: Warehouse) -> AssetCheckResult:
    return AssetCheckResult(
        passed=all(product.get("price_cents") for product in warehouse.read("products"))
    )

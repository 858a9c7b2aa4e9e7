select
    products.product_id,
    products.product_name,
    products.category,
    products.is_sold,
    count(orders.order_id) as orders,
    coalesce(sum(orders.quantity), 0)::bigint as pieces,
    coalesce(sum(orders.amount_cents), 0)::bigint as revenue_cents,
    max(orders.ordered_at) as last_order_at
from {{ ref('stg_products') }} as products
left join {{ ref('stg_orders') }} as orders on orders.product_id = products.product_id
group by products.product_id, products.product_name, products.category, products.is_sold

select
    customers.customer_id,
    customers.customer_name,
    customers.country,
    count(orders.order_id) as orders,
    coalesce(sum(orders.amount_cents), 0)::bigint as revenue_cents,
    round(avg(orders.amount_cents))::bigint as average_order_cents,
    min(orders.ordered_at) as first_order_at,
    max(orders.ordered_at) as last_order_at
from {{ ref('stg_customers') }} as customers
left join {{ ref('stg_orders') }} as orders on orders.customer_id = customers.customer_id
group by customers.customer_id, customers.customer_name, customers.country

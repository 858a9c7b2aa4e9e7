select
    ordered_on as day,
    count(*) as orders,
    count(distinct customer_id) as customers,
    sum(quantity)::bigint as pieces,
    sum(amount_cents)::bigint as revenue_cents
from {{ ref('stg_orders') }}
group by ordered_on

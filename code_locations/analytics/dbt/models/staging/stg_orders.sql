select
    order_id::bigint as order_id,
    customer_id::bigint as customer_id,
    product_id::bigint as product_id,
    quantity::integer as quantity,
    amount_cents::bigint as amount_cents,
    ordered_at::timestamptz as ordered_at,
    shipped_at::timestamptz as shipped_at,
    (ordered_at at time zone 'UTC')::date as ordered_on
from {{ source('raw', 'orders') }}

select
    product_id::bigint as product_id,
    name::text as product_name,
    category::text as category,
    price_cents::integer as price_cents,
    discontinued_at::timestamptz as discontinued_at,
    discontinued_at is null as is_sold
from {{ source('raw', 'products') }}

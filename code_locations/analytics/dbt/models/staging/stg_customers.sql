select
    customer_id::bigint as customer_id,
    name::text as customer_name,
    lower(email)::text as email,
    city::text as city,
    country::text as country,
    registered_at::timestamptz as registered_at
from {{ source('raw', 'customers') }}

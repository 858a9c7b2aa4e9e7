select
    id::bigint as user_id,
    name::text as user_name,
    username::text as login_name,
    lower(email)::text as email,
    address_city::text as city,
    company_name::text as company_name
from {{ source('raw', 'users') }}

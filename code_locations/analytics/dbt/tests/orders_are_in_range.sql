-- At least one piece, and nobody is paid for ordering.
select order_id, quantity, amount_cents
from {{ ref('stg_orders') }}
where quantity < 1 or amount_cents < 0

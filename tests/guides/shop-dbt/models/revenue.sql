select sum(amount_cents) as amount_cents from {{ ref('sales') }}

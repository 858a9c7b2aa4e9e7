select 1 as sale_id, 250 as amount_cents
union all
select 2, 400

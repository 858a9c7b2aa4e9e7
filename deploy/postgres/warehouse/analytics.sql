-- What `analytics` owns in the warehouse. Applied at every start: keep it idempotent.
CREATE SCHEMA IF NOT EXISTS staging AUTHORIZATION analytics;
CREATE SCHEMA IF NOT EXISTS marts AUTHORIZATION analytics;
-- dbt's incremental models collect what is new in a temporary table.
GRANT TEMPORARY ON DATABASE warehouse TO analytics;

-- What `elt` owns in the warehouse, and who may read it. Applied at every start: keep it idempotent.
CREATE SCHEMA IF NOT EXISTS raw AUTHORIZATION elt;

GRANT USAGE ON SCHEMA raw TO analytics;
GRANT SELECT ON ALL TABLES IN SCHEMA raw TO analytics;
-- Loads replace tables, and a new table has no grants but these.
ALTER DEFAULT PRIVILEGES FOR ROLE elt IN SCHEMA raw GRANT SELECT ON TABLES TO analytics;

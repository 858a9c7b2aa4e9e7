from postgres_loader import build_landing_zone_sensor

from elt.tables import LANDING_TABLES

landing_zone_sensor = build_landing_zone_sensor(LANDING_TABLES)

from postgres_loader import build_landing_zone_sensor

from __name__.tables import LANDING_TABLES

landing_zone_sensor = build_landing_zone_sensor(LANDING_TABLES, name="__name___landing_zone_sensor")

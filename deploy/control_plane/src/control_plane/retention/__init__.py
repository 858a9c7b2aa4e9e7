"""Removes old runs, with their events, and what else only grows in Dagster's database.

What people see of their assets stays (docs/decisions/0026-what-retention-keeps.md).
"""

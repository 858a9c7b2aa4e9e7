"""Marts from the warehouse's raw tables."""

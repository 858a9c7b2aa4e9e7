"""Metrics of the stack for Prometheus."""

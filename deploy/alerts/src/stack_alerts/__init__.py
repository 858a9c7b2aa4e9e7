"""Incidents of the stack, told to people."""

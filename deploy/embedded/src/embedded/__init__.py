"""The stack without Docker: one supervisor, and processes in place of containers."""

"""All that the control plane uses of Dagster's private interface, seen in 1.13.27.

No other module of this package names anything private. One module per kind of process, because
what a daemon needs takes seconds of CPU to import. Without one of these names, or with a hook
that has other parameters, the process ends at once with a line that names it.
"""

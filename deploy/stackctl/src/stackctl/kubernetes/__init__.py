"""The stack for Kubernetes: values for Dagster's official Helm charts, and what they leave out."""

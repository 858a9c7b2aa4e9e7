"""What is needed to list runs."""

from compose_run_launcher.private_names import needed_by

with needed_by("the list of runs"):
    from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES as NOT_FINISHED_STATUSES
    from dagster._core.storage.tags import DOCKER_IMAGE_TAG as DOCKER_IMAGE_TAG

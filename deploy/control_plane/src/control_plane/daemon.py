"""dagster-daemon, with the run launcher at work from the start.

Dagster loads the launcher with the first run. The launcher also follows releases, of which
those that come before the first run count as well.
"""

from dagster import DagsterInstance
from dagster._daemon.cli import main as dagster_daemon


def main() -> None:
    """Start the launcher's watch, then be dagster-daemon with this process's arguments."""
    # The launcher refers to its instance weakly, so this one has to live as long as the watch.
    with DagsterInstance.get() as instance:
        instance.run_launcher.watch()  # type: ignore[attr-defined]  # by dagster.yaml
        dagster_daemon()


if __name__ == "__main__":
    main()

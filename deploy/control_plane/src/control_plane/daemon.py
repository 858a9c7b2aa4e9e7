"""dagster-daemon, with the run launcher at work from the start.

Dagster loads the launcher with the first run. The launcher also follows releases, of which
those that come before the first run count as well.
"""

from dagster import DagsterInstance
from dagster._daemon.cli import main as dagster_daemon


def main() -> None:
    """Start the launcher's watch, then be dagster-daemon with this process's arguments."""
    launcher = DagsterInstance.get().run_launcher
    launcher.watch()  # type: ignore[attr-defined]  # ComposeRunLauncher, by dagster.yaml
    dagster_daemon()


if __name__ == "__main__":
    main()

"""Exit 0 when every daemon thread has sent a recent heartbeat.

`dagster-daemon liveness-check` asks the same and costs 2.5 s of CPU each time; this reads the
table that it reads, without importing Dagster.
"""

import os
import sys
import time
from pathlib import Path

import psycopg2

# Heartbeats are 30 s apart; three missed ones are not an accident.
TOLERANCE_S = 90
# Threads that every deployment has; a thread that never starts must not pass unseen.
ALWAYS = {"SENSOR", "SCHEDULER", "BACKFILL", "ASSET", "QUEUED_RUN_COORDINATOR", "MONITORING"}


def heartbeat_ages() -> dict[str, float]:
    """Seconds since the last heartbeat, by kind of daemon."""
    connection = psycopg2.connect(
        host=os.environ["DAGSTER_POSTGRES_HOST"],
        port=os.environ["DAGSTER_POSTGRES_PORT"],
        dbname=os.environ["DAGSTER_POSTGRES_DB"],
        user=os.environ["DAGSTER_POSTGRES_USER"],
        password=Path(os.environ["DAGSTER_POSTGRES_PASSWORD_FILE"]).read_text(),
        connect_timeout=4,
        application_name="daemon probe",
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT daemon_type, extract(epoch FROM now() AT TIME ZONE 'UTC' - timestamp)"
                " FROM daemon_heartbeats"
            )
            return {kind: float(age) for kind, age in cursor.fetchall()}
    finally:
        connection.close()


def main() -> None:
    started = time.clock_gettime(time.CLOCK_BOOTTIME) - boot_time_of(1)
    try:
        ages = heartbeat_ages()
    except psycopg2.Error as error:
        sys.exit(f"heartbeats cannot be read: {error}")
    # A heartbeat from before this daemon started says nothing about it.
    limit = min(TOLERANCE_S, started)
    late = sorted(kind for kind in ALWAYS if ages.get(kind, float("inf")) > limit)
    if late:
        sys.exit(f"no recent heartbeat from: {', '.join(late)}")


def boot_time_of(pid: int) -> float:
    """When a process started, in seconds since the machine did."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

"""Old runs go from the stack, with their files, by the commands that a person types."""

from __future__ import annotations

from harness import Stack
from runs import launch


def has_step_logs(stack: Stack, run_id: str) -> bool:
    """Whether its location has files of the run."""
    listed = ("ls", "/var/lib/dagster/compute_logs")
    return run_id in stack.run("docker", "exec", stack.container("scenarios"), *listed).split()


def test_an_old_run_goes_with_its_files_and_another_stays(stack: Stack) -> None:
    old, young = (launch(stack, "scenarios", "tick_job") for _ in range(2))
    old.wait()
    young.wait()
    stack.sql(
        "UPDATE runs SET end_time = extract(epoch FROM now()) - 400 * 86400"
        f" WHERE run_id = '{old.id}'",
        "dagster",
    )

    plan = stack.run("make", "retention-plan")
    assert "scenarios: 1 folders of step logs and values to remove" in plan
    assert "Together about" in plan
    assert old.status == "SUCCESS"
    assert has_step_logs(stack, old.id)

    done = stack.run("make", "retention")
    assert "removed 1 runs" in done
    assert "scenarios: 1 folders of step logs and values removed" in done
    assert stack.sql(f"SELECT count(*) FROM runs WHERE run_id = '{old.id}'", "dagster") == [["0"]]
    left = f"SELECT count(*) FROM event_logs WHERE run_id = '{old.id}'"
    assert stack.sql(left, "dagster") == [["0"]]
    assert not has_step_logs(stack, old.id)

    assert young.status == "SUCCESS"
    assert "hello from run" in young.stdout()
    assert has_step_logs(stack, young.id)
    assert "No run goes." in stack.run("make", "retention-plan")

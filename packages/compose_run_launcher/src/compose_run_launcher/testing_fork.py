"""Python programs in processes of their own, without the 2 s of CPU that importing Dagster takes.

`python -c SOURCE MODULE ...` imports these modules, and then forks for each call: a line of JSON
with the program's text, its arguments, environment, folder and files for its output. The answer is
a line with its exit code. What a program itself imports besides, it imports again.
"""

import gc
import importlib
import json
import os
import sys
from typing import Any


def next_call() -> dict[str, Any]:
    """The call that this process is to be: returns in a fork for each, ends with the last one."""
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            call: dict[str, Any] = json.loads(line)
            return call
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()


def become(call: dict[str, Any]) -> None:
    """Take over the call's arguments, environment, folder and output."""
    files = (os.devnull, os.O_RDONLY), (call["out"], os.O_WRONLY), (call["err"], os.O_WRONLY)
    for standard, (path, mode) in enumerate(files):
        os.dup2(os.open(path, mode), standard)
    os.environ.clear()
    os.environ.update(call["env"])
    os.chdir(call["cwd"])
    sys.argv = ["-c", *call["arguments"]]


if __name__ == "__main__":
    # Imported modules are not garbage, and no fork is to look for some in them.
    gc.disable()
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()
    gc.enable()
    print("ready", flush=True)
    found = next_call()
    become(found)
    # An exception ends the process as it would end the program's own.
    exec(compile(found["program"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102

"""dbt without its start, 5 s of CPU: a process that has imported it forks for each call.

`python warm_dbt.py FOLDER` makes the program FOLDER/dbt, says so, and serves its calls until it is
ended. A call has its own process, arguments, environment, folder, output and exit code.

A run's call finds what the one before has parsed. dbt reads it where files and settings are the
same, and parses the rest; the manifest of the location is parsed with settings of no server.
"""

import gc
import json
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

PARSED = "partial_parse.msgpack"
CALL = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(asked)
    sys.exit(int(server.recv(8) or b"70"))
"""


def main(folder: Path) -> NoReturn:
    # Imported modules are not garbage, and neither is the project that a fork parses: looking for
    # some among them takes time.
    gc.disable()
    from dbt.adapters.postgres import PostgresAdapter  # noqa: F401  # what each call would import
    from dbt.cli.main import cli  # noqa: F401

    gc.freeze()
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        program = folder / "dbt"
        program.write_text(CALL.format(python=sys.executable, path=str(path)))
        program.chmod(0o755)
        # Nobody waits for who answers.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            caller, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                answer(caller, folder / PARSED)
            caller.close()


def answer(caller: socket.socket, parsed: Path) -> NoReturn:
    """Run dbt in a process of its own, and tell its exit code."""
    size, output, _, _ = socket.recv_fds(caller, 4, 3)
    with caller.makefile("rb") as rest:
        arguments, environment, folder = json.loads(rest.read(int.from_bytes(size, "big")))
    target = Path(environment.get("DBT_TARGET_PATH", "nowhere"), PARSED)
    if target.parent.exists() and parsed.exists():
        shutil.copyfile(parsed, target)
    child = os.fork()
    if child == 0:
        caller.close()
        for standard, given in enumerate(output):
            os.dup2(given, standard)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = ["dbt", *arguments]
        from dbt.cli.main import cli

        sys.exit(cli())
    _, status = os.waitpid(child, 0)
    if target.exists():
        shutil.copyfile(target, parsed)
    caller.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

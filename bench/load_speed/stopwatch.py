"""How a loader's process tells its seconds: imports are over when it calls this."""

import json
from collections.abc import Callable
from time import perf_counter


def time_load(load: Callable[[], object]) -> None:
    """Run the load; print its seconds as the process's last line."""
    began = perf_counter()
    load()
    print(json.dumps({"load_s": perf_counter() - began}))

"""``python -m embedded``."""

import signal

# Until the stack has handlers of its own, Ctrl-C ends this quietly and not with a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from embedded.cli import app  # noqa: E402

app(prog_name="deploy/embedded/dev")

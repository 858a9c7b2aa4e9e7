"""Exit 0 when the webserver answers. /server_info touches no database, so a slow database
does not make an orchestrator kill the webserver."""

import sys
import urllib.request

try:
    with urllib.request.urlopen("http://127.0.0.1:3000/server_info", timeout=4) as answer:
        if b"dagster_webserver_version" not in answer.read():
            sys.exit("not a Dagster webserver")
except OSError as error:
    sys.exit(f"the webserver does not answer: {error}")

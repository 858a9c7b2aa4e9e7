"""Exit 0 when the webserver answers. /server_info touches no database, so a slow database
does not make an orchestrator kill the webserver."""

import os
import sys
import urllib.request

url = os.environ.get("WEBSERVER_URL", "http://127.0.0.1:3000")

try:
    with urllib.request.urlopen(f"{url}/server_info", timeout=4) as answer:
        if b"dagster_webserver_version" not in answer.read():
            sys.exit("not a Dagster webserver")
except OSError as error:
    sys.exit(f"the webserver does not answer: {error}")

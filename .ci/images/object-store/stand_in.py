"""An S3 server that answers like `weed mini`, made of OpenStack Swift.

Swift's four servers run in this one process: the proxy with its S3 layer on the
public port, the three storage servers on loopback ports.
"""

import argparse
import logging
import os
import pathlib
import re
import signal
import sys
import tempfile
import traceback
import warnings

# Swift's choice of parts is not ours to mend.
warnings.filterwarnings(
    "ignore", message="(?s).*(Eventlet is deprecated|capitalize_response_headers)"
)

from swift.common.utils import monkey_patch

monkey_patch()

from eventlet import GreenPool, listen, wsgi
from swift.common.middleware.tempauth import TempAuth
from swift.common.swob import Request, Response
from swift.common.utils import NullLogger
from swift.common.wsgi import SwiftHttpProtocol, loadapp

ACCOUNT = "AUTH_main"
STORAGE_PORTS = {"object": 6200, "container": 6201, "account": 6202}
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Options of the real command that change nothing here.
IGNORED_OPTIONS = (
    "ip",
    "webdav",
    "admin.ui",
    "master.telemetry",
    "s3.port.iceberg",
    "s3.port.lance",
    "s3.autoCreateBucket",
    "s3.iam",
    "master.volumeSizeLimitMB",
)

STORAGE_CONFIG = """
[DEFAULT]
devices = {dir}
mount_check = false
log_custom_handlers = stand_in.log_to_stderr
[app:main]
use = egg:swift#{kind}
"""

PROXY_CONFIG = """
[DEFAULT]
log_custom_handlers = stand_in.log_to_stderr
[pipeline:main]
pipeline = status catch_errors gatekeeper listing_formats s3api tempauth copy slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:s3api]
use = egg:swift#s3api
max_upload_part_num = 10000
[filter:status]
paste.filter_factory = stand_in:status_filter
[filter:tempauth]
paste.filter_factory = stand_in:auth_filter
"""


def log_to_stderr(conf, name, log_to_console, log_route, fmt, logger, adapted_logger):
    """Swift's hook for log handlers; its own handler only knows syslog."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter(fmt))
    logger.addHandler(handler)


class Status:
    """Answers the health paths, and makes buckets from inside the pipeline."""

    instance = None

    def __init__(self, app):
        self.app = app
        Status.instance = self

    def __call__(self, env, start_response):
        if env["PATH_INFO"] in ("/healthz", "/status") and env["REQUEST_METHOD"] in (
            "GET",
            "HEAD",
        ):
            return Response(status=200)(env, start_response)
        return self.app(env, start_response)

    def make_bucket(self, name):
        environ = {
            "swift.authorize_override": True,
            "swift.authorize": lambda request: None,
        }
        request = Request.blank(f"/v1/{ACCOUNT}/{name}", environ=environ, method="PUT")
        return request.get_response(self.app).status_int


def status_filter(global_conf, **local_conf):
    return Status


def auth_filter(global_conf, **local_conf):
    """One key pair, any name: TempAuth itself only takes names like `account:user`."""

    def build(app):
        auth = TempAuth(app, {**global_conf, **local_conf})
        auth.users = {
            os.environ["AWS_ACCESS_KEY_ID"]: {
                "key": os.environ["AWS_SECRET_ACCESS_KEY"],
                "url": f"$HOST/v1/{ACCOUNT}",
                "groups": [".admin"],
            }
        }
        return auth

    return build


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="weed mini", allow_abbrev=False)
    parser.add_argument("-dir", "--dir", default="/data")
    parser.add_argument("-bucket", "--bucket", default="")
    parser.add_argument("-s3.port", "--s3.port", dest="port", type=int, default=8333)
    parser.add_argument("-ip.bind", "--ip.bind", dest="bind", default="0.0.0.0")
    for name in IGNORED_OPTIONS:
        parser.add_argument(f"-{name}", f"--{name}", nargs="?", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def run_until_death(app, sock):
    """A server that is gone takes the container with it, rather than leave it half alive."""
    try:
        # boto3 looks for "ETag", spelled exactly so.
        wsgi.server(
            sock,
            app,
            NullLogger(),
            protocol=SwiftHttpProtocol,
            socket_timeout=60,
            capitalize_response_headers=False,
        )
    finally:
        traceback.print_exc()
        os._exit(1)


def serve(pool, conf_folder, kind, config, address):
    path = conf_folder / f"{kind}.conf"
    path.write_text(config)
    app = loadapp(str(path), global_conf={"log_name": kind})
    pool.spawn(run_until_death, app, listen(address, backlog=1024))


def make_buckets(spec):
    for name in filter(None, (part.strip() for part in spec.split(","))):
        if not BUCKET_NAME.fullmatch(name):
            print(f"invalid bucket name {name!r}", file=sys.stderr)
            continue
        status = Status.instance.make_bucket(name)
        if status not in (201, 202):
            print(f"bucket {name}: status {status}", file=sys.stderr)


def main():
    options = parse_arguments(sys.argv[1:])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if not os.environ.get(name):
            sys.exit(
                f"{name} is not set; the real image would then let anybody in, this one refuses"
            )
    (pathlib.Path(options.dir) / "swift").mkdir(exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

    pool = GreenPool()
    with tempfile.TemporaryDirectory() as folder:
        conf_folder = pathlib.Path(folder)
        for kind, port in STORAGE_PORTS.items():
            config = STORAGE_CONFIG.format(dir=options.dir, kind=kind)
            serve(pool, conf_folder, kind, config, ("127.0.0.1", port))
        serve(pool, conf_folder, "proxy", PROXY_CONFIG, (options.bind, options.port))
        make_buckets(options.bucket or os.environ.get("S3_BUCKET", ""))
        print(f"S3 on port {options.port}", flush=True)
        pool.waitall()


if __name__ == "__main__":
    # Swift's configuration names this module, so it must be importable under its name.
    sys.modules["stand_in"] = sys.modules["__main__"]
    main()

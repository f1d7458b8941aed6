"""A real PgBouncer in transaction mode, in front of the PostgreSQL of the test run.

With THROUGH_PGBOUNCER=1, pytest starts it and all connections go through it, also those of the
processes that tests start (`make test-pgbouncer`).
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg

PROGRAM = "/usr/sbin/pgbouncer"
START_TIMEOUT_S = 10.0
# Few server connections: statements of one client often land on different ones.
SETTINGS = """\
[databases]
* = host={postgres} port=5432 user=postgres

[pgbouncer]
pool_mode = transaction
listen_addr =
listen_port = 5432
unix_socket_dir = {folder}
auth_type = any
max_client_conn = 500
default_pool_size = 20
server_idle_timeout = 60
logfile = {folder}/pgbouncer.log
"""


def start() -> Callable[[], None]:
    """Start it for the server that DATABASE_URL names, which then names PgBouncer. Returns what
    ends it.
    """
    [postgres] = parse_qs(urlsplit(os.environ["DATABASE_URL"]).query)["host"]
    # PgBouncer refuses to run as root, and PostgreSQL's socket is only for its own account.
    account = os.stat(postgres)
    folder = Path(tempfile.mkdtemp(prefix="wingxtra-pgb-", dir="/tmp"))
    (folder / "pgbouncer.ini").write_text(SETTINGS.format(postgres=postgres, folder=folder))
    os.chown(folder, account.st_uid, account.st_gid)
    as_owner = {} if os.geteuid() else {"user": account.st_uid, "group": account.st_gid}
    process = subprocess.Popen(
        [PROGRAM, "--quiet", str(folder / "pgbouncer.ini")],
        stderr=subprocess.DEVNULL,
        **({**as_owner, "extra_groups": []} if as_owner else {}),
    )

    def stop() -> None:
        process.terminate()
        process.wait(START_TIMEOUT_S)

    deadline = time.monotonic() + START_TIMEOUT_S
    while psycopg.pq.PGconn.ping(f"host={folder}".encode()) != psycopg.pq.Ping.OK:
        if process.poll() is not None or time.monotonic() > deadline:
            stop()
            raise RuntimeError((folder / "pgbouncer.log").read_text())
        time.sleep(0.02)
    os.environ["DATABASE_URL"] = f"postgresql://postgres@/wingxtra?host={folder}"
    os.environ["DATABASE_POOLER"] = "transaction"
    return stop

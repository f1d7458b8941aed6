"""`make bench`: how fast API and console are as they are served in production, and where time goes.

Servers of its own, thrown away at the end; nothing that DATABASE_URL or REDIS_URL name is touched.

    BENCH_SECONDS   of load at a time, three times for each call; 2
    BENCH_ONLY      a regular expression: only the calls whose names match
    BENCH_ORDERS    in the database for the console; 1,000,000, and 0 leaves the console out
"""

import os
import platform
import re
import secrets
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[3]
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
ORDERS = int(os.environ.get("BENCH_ORDERS", "1000000"))
# Counted as ever, and never reached.
NO_LIMIT = "100000000/minute"


def main() -> None:
    from wingxtra.embedded import launcher

    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ |= {
        "ENVIRONMENT": "test",
        "SECRET_KEY": secrets.token_hex(32),
        "LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "wingxtra.settings",
        "API_RATE_AUTHENTICATED": NO_LIMIT,
        "API_RATE_PUBLIC": NO_LIMIT,
    }
    warnings.filterwarnings("ignore", "No directory at")  # static files, collected in production
    servers = launcher.ensure(ROOT, throwaway=True)
    try:
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        _measure()
        connection.close()
        connection.close_pool()
    finally:
        servers.stop()


def _measure() -> None:
    from wingxtra.tests.bench import api, console, seed
    from wingxtra.tests.serving import production_command

    print(
        f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"{SECONDS:g} s of load at a time, on {' '.join(production_command())}."
    )
    print(
        f"\nThe API, with {seed.ORDERS:,} orders of {seed.MERCHANTS} merchants, 4 events each:\n",
        flush=True,
    )
    wanted = re.compile(os.environ.get("BENCH_ONLY", ""))
    api.measure(seed.run(), wanted, seconds=SECONDS)
    if ORDERS:
        print(f"\nThe console's list of orders, with {seed.grow(ORDERS):,} of them:\n", flush=True)
        console.measure(wanted)


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    sys.exit(main())

"""The part of `make bench` that serves API and console as in production.

It starts its own throwaway servers and does not use those of DATABASE_URL and REDIS_URL.
"""

import os
import re
import secrets
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[3]
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
ORDERS = int(os.environ.get("BENCH_ORDERS", "1000000"))
# The rate limit is active, as in production, but never reached.
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
        "API_RATE_LINKS": NO_LIMIT,
        "API_RATE_LINK_READS": NO_LIMIT,
        "API_RATE_POSITIONS": NO_LIMIT,
        "API_RATE_LINK_POSITIONS": NO_LIMIT,
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
    from wingxtra.tests.bench import api, console, million, multiples, seed

    wanted = re.compile(os.environ.get("BENCH_ONLY", ""))
    seeded = seed.run()
    multiples.measure(seeded, wanted)
    api.measure(seeded, wanted, seconds=SECONDS)
    if ORDERS:
        console.measure(million.grow(ORDERS), wanted)


if __name__ == "__main__":
    main()

"""`make attack`: see docs/contributing.md. Its servers are its own and are removed at the end.

`python -m wingxtra.tests.attack valkey_hangs` makes only the named tries.
"""

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import requests

from wingxtra.embedded import launcher
from wingxtra.tests.attack.stack import NotTried, Seen, Stack, production, running

ROOT = Path(__file__).parents[3]
Try = Callable[[Stack], Seen]


def main() -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    servers = launcher.ensure(ROOT, throwaway=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ |= production(servers, Path(folder))
            failed = _attack()
    finally:
        servers.stop()
    sys.exit(1 if failed else 0)


def _attack() -> int:
    """Returns how many tries the product did not stand."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from fleet.tests.factories import DroneFactory

    started = time.monotonic()
    warnings.filterwarnings("ignore", "No directory at")
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("migrate", verbosity=0)
    DroneFactory()  # so that the area can deliver
    with running() as stack:
        wanted = [one for one in _tries() if one.__name__ in sys.argv[1:] or not sys.argv[1:]]
        seen = [_row(each, stack) for each in wanted]
    connection.close()
    connection.close_pool()
    failed = sum(one is not None and not one.held for one in seen)
    untried = seen.count(None)
    print(
        f"\n{len(seen) - failed - untried} of {len(seen)} held, {failed} did not, {untried} were "
        f"not tried; {time.monotonic() - started:.0f} s"
    )
    return failed


def _tries() -> list[Try]:
    """Those that stop or fill a server come last: they must not disturb the measurements."""
    from wingxtra.tests.attack import bodies, outages, reading, slow, tokens

    return [
        slow.slow_bodies_behind_the_proxy,
        slow.slow_bodies_without_a_proxy,
        slow.headers_that_never_end,
        slow.a_forged_address,
        tokens.first_administrator_as_reader,
        tokens.refresh_token_used_twice,
        tokens.stored_tokens,
        tokens.tokens_after_a_new_password,
        tokens.password_alone_for_tokens,
        tokens.password_alone_for_the_record,
        bodies.many_unknown_keys,
        bodies.a_huge_signature,
        bodies.a_long_email_address,
        reading.phone_by_search,
        reading.one_network_guesses,
        reading.session_lost,
        outages.a_killed_web_process,
        outages.valkey_hangs,
        outages.valkey_is_full,
    ]


def _row(try_: Try, stack: Stack) -> Seen | None:
    """Try, and print the row of the table. None: not tried."""
    seen: Seen | None
    try:
        seen = try_(stack)
    except NotTried as lacking:
        seen, word, what = None, "NOT TRIED", str(lacking)
    except requests.RequestException as error:
        seen = Seen(f"broke off: {error!r}"[:300], held=False)
    if seen is not None:
        word, what = "held" if seen.held else "NOT HELD", seen.what
    print(f"{word:9}  {try_.__doc__}\n           {what}", flush=True)
    return seen


if __name__ == "__main__":
    main()

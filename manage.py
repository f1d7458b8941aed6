#!/usr/bin/env python
"""Django's command line. Outside production it starts PostgreSQL and Valkey if no URL is set."""

import os
import sys
from pathlib import Path

# `embedded` starts servers itself; the others need no database.
WITHOUT_SERVERS = {"embedded", "help", "version", "--version"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wingxtra.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    needs_servers = command not in WITHOUT_SERVERS and not {"--help", "-h"} & set(sys.argv)
    if needs_servers and os.environ.get("ENVIRONMENT") != "production":
        from wingxtra.embedded import launcher

        try:
            launcher.ensure(Path(__file__).parent)
        except launcher.ServerError as error:
            sys.exit(f"manage.py: {error}")

    from django.core.management import execute_from_command_line

    from wingxtra.accounts import acting

    with acting.as_command(command):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

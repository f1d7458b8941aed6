"""The restore drill finds differences between the database and its restored backup."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from wingxtra.accounts.tests.factories import MerchantFactory
from wingxtra.management.commands import restore_drill

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_dump_is_restored_row_by_row() -> None:
    MerchantFactory.create_batch(3)
    out = StringIO()
    call_command("restore_drill", stdout=out)
    assert "Restored and compared" in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_database WHERE datname = current_database() || '_restored'"
        )
        assert cursor.fetchone() == (0,), "nothing is left behind"


def test_a_copy_that_differs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    MerchantFactory()
    run = restore_drill._run

    def lose_the_data(program, params, *arguments):  # type: ignore[no-untyped-def]
        extra = ["--schema-only"] if program == "pg_restore" else []
        run(program, params, *extra, *arguments)

    monkeypatch.setattr(restore_drill, "_run", lose_the_data)
    with pytest.raises(CommandError, match="accounts_merchant"):
        call_command("restore_drill", stdout=StringIO())

"""The migration to the indexes of reports: in a month of events that is there, in one that is made
later, and after a try that was interrupted.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from orders.models import DeliveryEvent
from wingxtra.database import partitions
from wingxtra.database.partitions import month_of, months_after

NAME = ("orders", "0031_read_by_reports")
EVENTS = next(one for one in partitions.histories if one.model is DeliveryEvent)


def run(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def names(statement: str) -> set[str]:
    return {name for (name,) in run(statement)}


def months_without_the_index() -> set[str]:
    return names(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = 'orders_deliveryevent'::regclass"
    ) - names(
        "SELECT indrelid::regclass::text FROM pg_index JOIN pg_inherits ON inhrelid = indexrelid "
        "WHERE inhparent = 'event_in_reports'::regclass AND indisvalid"
    )


def left_over() -> set[str]:
    """Invalid indexes, and those of a month that are no part of `event_in_reports`."""
    return names(
        "SELECT c.relname::text FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid "
        "WHERE NOT i.indisvalid OR c.relname LIKE '%in_reports' AND c.relname LIKE 'orders_%' "
        "AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid)"
    )


def of_jobs_and_orders() -> set[str]:
    return names(
        "SELECT indexname::text FROM pg_indexes WHERE indexname LIKE 'job_newest%' "
        "UNION SELECT stxname::text FROM pg_statistic_ext WHERE stxname = 'order_starts_of'"
    )


def migrate(*, back: bool = False) -> None:
    loader = MigrationLoader(connection)
    migration, state = loader.get_migration(*NAME), loader.project_state(NAME, at_end=False)
    with connection.schema_editor(atomic=False) as editor:
        (migration.unapply if back else migration.apply)(state, editor)


@pytest.fixture
def _before() -> Iterator[None]:
    """The database as the former release has it; afterwards as this one has it."""
    migrate(back=True)
    yield
    if months_without_the_index() or of_jobs_and_orders() != {
        "job_newest_drone",
        "order_starts_of",
    }:
        migrate()


@pytest.mark.django_db
def test_a_month_that_is_made_has_the_index() -> None:
    partitions.make(EVENTS, months_after(month_of(timezone.now()), -3))
    assert months_without_the_index() == set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_before")
def test_it_reaches_each_month_and_leaves_nothing_behind() -> None:
    assert of_jobs_and_orders() == {"job_newest"}
    migrate()
    assert months_without_the_index() == set()
    assert left_over() == set()
    assert of_jobs_and_orders() == {"job_newest_drone", "order_starts_of"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_before")
def test_it_can_be_run_again_after_a_try_that_ended_between_two_months() -> None:
    columns = import_module(f"orders.migrations.{NAME[1]}").EVENTS
    attached, built, *_ = sorted(one.name for one in partitions.months_of(EVENTS.table) or ())
    run(f"CREATE INDEX event_in_reports ON ONLY {EVENTS.table} {columns}")
    for month in (attached, built):
        run(f"CREATE INDEX {month}_in_reports ON {month} {columns}")
    run(f"ALTER INDEX event_in_reports ATTACH PARTITION {attached}_in_reports")
    migrate()
    assert months_without_the_index() == set()
    assert left_over() == set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_before")
def test_it_can_be_run_again_after_a_try_that_ended_with_the_index_of_jobs() -> None:
    """An index that was being built stays, and is not valid; here another one has its name."""
    run("CREATE INDEX job_newest_drone ON orders_deliveryjob (created_at DESC)")
    run("CREATE STATISTICS order_starts_of ON (GREATEST(created_at, not_before)) FROM orders_order")
    migrate()
    assert of_jobs_and_orders() == {"job_newest_drone", "order_starts_of"}
    (made_by,) = names("SELECT indexdef FROM pg_indexes WHERE indexname = 'job_newest_drone'")
    assert "INCLUDE (drone_id)" in made_by

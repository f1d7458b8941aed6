from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

EVENTS = (
    "(type, created_at) INCLUDE (order_id, id, job_id, occurred_at) WHERE type IN ("
    "'QUEUED', 'REQUEUED', 'ASSIGNED', 'LAUNCHED', 'CANCELED', 'FAILED', 'RESCHEDULED') "
    "OR payload -> 'was' = '\"QUEUED\"'"
)


def add_to_events(apps: Any, editor: Any) -> None:
    """Beside readers and writers: month by month. A month that is made from now on has it."""
    with editor.connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX IF NOT EXISTS event_in_reports ON ONLY orders_deliveryevent {EVENTS}"
        )
        cursor.execute(
            """
            SELECT inhrelid::regclass::text FROM pg_inherits
            WHERE inhparent = 'orders_deliveryevent'::regclass AND inhrelid NOT IN (
                SELECT i.indrelid FROM pg_index i JOIN pg_inherits of ON of.inhrelid = i.indexrelid
                WHERE of.inhparent = 'event_in_reports'::regclass)
            """
        )
        for (month,) in cursor.fetchall():
            index = f"{month}_in_reports"
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")  # left by an earlier attempt
            cursor.execute(f"CREATE INDEX CONCURRENTLY {index} ON {month} {EVENTS}")
            cursor.execute(f"ALTER INDEX event_in_reports ATTACH PARTITION {index}")


class Migration(migrations.Migration):
    atomic = False  # for the indexes

    dependencies = [("orders", "0030_order_test")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunPython(
                    add_to_events,
                    lambda apps, editor: editor.execute("DROP INDEX event_in_reports"),
                )
            ],
            state_operations=[
                migrations.AddIndex(
                    model_name="deliveryevent",
                    index=models.Index(
                        condition=models.Q(
                            (
                                "type__in",
                                (
                                    *("QUEUED", "REQUEUED", "ASSIGNED", "LAUNCHED"),
                                    *("CANCELED", "FAILED", "RESCHEDULED"),
                                ),
                            ),
                            ("payload__was", "QUEUED"),
                            _connector="OR",
                        ),
                        fields=["type", "created_at"],
                        include=["order", "id", "job", "occurred_at"],
                        name="event_in_reports",
                    ),
                )
            ],
        ),
        # An earlier attempt may have left this index: without a transaction, a migration that fails
        # keeps what it has made.
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS job_newest_drone", migrations.RunSQL.noop
        ),
        AddIndexConcurrently(
            model_name="deliveryjob",
            index=models.Index(
                fields=["-created_at", "-id"], include=["drone"], name="job_newest_drone"
            ),
        ),
        RemoveIndexConcurrently(model_name="deliveryjob", name="job_newest"),
        # Without them PostgreSQL expects a two hundredth of all orders in any span.
        migrations.RunSQL(
            [
                "CREATE STATISTICS IF NOT EXISTS order_starts_of "
                "ON (GREATEST(created_at, not_before)) FROM orders_order",
                "ANALYZE orders_order",
            ],
            "DROP STATISTICS order_starts_of",
        ),
    ]

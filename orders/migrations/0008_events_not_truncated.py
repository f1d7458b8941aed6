"""TRUNCATE fires no trigger FOR EACH ROW, so it needs one of its own."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0007_customer_language")]

    operations = [
        migrations.RunSQL(
            """
            CREATE TRIGGER orders_events_not_truncated BEFORE TRUNCATE ON orders_deliveryevent
                FOR EACH STATEMENT EXECUTE FUNCTION orders_refuse_event_change();
            """,
            "DROP TRIGGER orders_events_not_truncated ON orders_deliveryevent;",
        )
    ]

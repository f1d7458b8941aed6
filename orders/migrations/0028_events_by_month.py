"""Events are partitioned by month. Foreign keys to them are gone by then: see the dependency."""

from django.db import migrations

from wingxtra.database.partitioning import by_month


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("orders", "0027_delay_predicted_trigger"),
        ("tracking", "0008_events_without_foreign_keys"),
    ]

    operations = by_month("orders_deliveryevent", "created_at")

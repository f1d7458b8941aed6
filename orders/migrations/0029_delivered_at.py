from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # the index is built concurrently with writes

    dependencies = [("orders", "0028_events_by_month")]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                condition=models.Q(("delivered_at__isnull", False), ("live_mode", True)),
                fields=["delivered_at"],
                name="order_delivered",
            ),
        ),
    ]

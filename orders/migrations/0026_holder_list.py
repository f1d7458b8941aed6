from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built concurrently with writes

    dependencies = [
        ("orders", "0025_clearance_event"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                condition=models.Q(("holder", "RECIPIENT"), _negated=True),
                fields=["holder", "-created_at", "-id"],
                name="order_holder_list",
            ),
        ),
        RemoveIndexConcurrently(
            model_name="order",
            name="order_holder_newest",
        ),
    ]

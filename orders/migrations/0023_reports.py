import django.db.models.functions.comparison
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built concurrently with writes

    dependencies = [
        ("accounts", "0007_known_addresses"),
        ("fleet", "0019_late_normal"),
        ('orders', '0022_reason_and_holder_lists'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="deliveryevent",
            index=models.Index(
                condition=models.Q(("actor_kind", "user")),
                fields=["actor_ref", "created_at"],
                name="event_of_person",
            ),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                django.db.models.functions.comparison.Greatest("created_at", "not_before"),
                condition=models.Q(("live_mode", True)),
                name="order_starts",
            ),
        ),
    ]

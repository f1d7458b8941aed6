from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built concurrently with writes

    dependencies = [
        ("orders", "0021_quoted_range"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                condition=models.Q(("reason_code", ""), _negated=True),
                fields=["reason_code", "-created_at", "-id"],
                name="order_reason_newest",
            ),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                condition=models.Q(("holder__in", ["SENDER", "RECIPIENT"]), _negated=True),
                fields=["holder", "-created_at", "-id"],
                name="order_holder_newest",
            ),
        ),
    ]

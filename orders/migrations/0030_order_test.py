from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # for the index

    dependencies = [("orders", "0029_delivered_at")]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                fields=["id"], name="order_test", condition=models.Q(("live_mode", False))
            ),
        ),
    ]

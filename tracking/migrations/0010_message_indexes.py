from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tracking", "0009_webhooks_by_month")]

    operations = [
        AddIndexConcurrently(
            model_name="customermessage",
            index=models.Index(fields=["order", "kind"], name="message_of_order"),
        ),
        AddIndexConcurrently(
            model_name="customermessage",
            index=models.Index(
                condition=models.Q(("claimed_until__isnull", False)),
                fields=["claimed_until"],
                name="message_claimed",
            ),
        ),
    ]

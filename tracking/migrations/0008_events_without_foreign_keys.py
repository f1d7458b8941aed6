"""No foreign key can refer to events once they are partitioned. They are never deleted."""

import django.db.models.deletion
from django.db import migrations, models


def event(**options):
    return models.ForeignKey(
        "orders.deliveryevent",
        db_constraint=False,
        db_index=False,
        null=True,
        on_delete=django.db.models.deletion.DO_NOTHING,
        related_name="+",
        **options,
    )


class Migration(migrations.Migration):
    dependencies = [("tracking", "0007_webhook_fairness")]

    operations = [
        migrations.AlterField("webhookdelivery", "event", event()),
        migrations.AlterField(
            "customermessage",
            "event",
            event(help_text="What it tells of, for a kind that can be told several times."),
        ),
    ]

"""What holds once every mission has its parts; apart from 0006 because PostgreSQL alters no table
with pending trigger events."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0006_missions")]

    operations = [
        migrations.RemoveField("Mission", "job"),
        migrations.RemoveField("Mission", "order"),
        migrations.AlterField(
            "Mission",
            "drone",
            models.ForeignKey(
                "fleet.Drone",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="missions",
            ),
        ),
        migrations.AddConstraint(
            "Mission",
            models.CheckConstraint(
                name="mission_over_by_a_word",
                condition=models.Q(("over_at__isnull", True), ("over_by", ""))
                | models.Q(("over_at__isnull", False), models.Q(("over_by", ""), _negated=True)),
            ),
        ),
        migrations.AddConstraint(
            "MissionPart",
            models.UniqueConstraint(
                fields=("order",),
                condition=models.Q(("live", True)),
                name="one_live_mission_per_order",
            ),
        ),
    ]

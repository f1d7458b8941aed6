from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # for the index

    dependencies = [("dispatch", "0029_remove_missionreport_applied")]

    operations = [
        AddIndexConcurrently(
            model_name="flightrecord",
            index=models.Index(
                fields=["ended_at"],
                include=["job", "drone", "landed_at", "battery_before_pct", "battery_after_pct"],
                name="record_in_reports",
            ),
        ),
    ]

"""When a decision was made. PostgreSQL stores the time of this migration once for all old rows."""

import django.utils.timezone
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0024_told_in_flight")]

    operations = [
        migrations.AddField(
            "dispatchdecision",
            "decided_at",
            models.DateTimeField(
                db_default=Now(),
                default=django.utils.timezone.now,
                editable=False,
                help_text="Decisions from before this column have the time of its migration.",
            ),
        ),
    ]

"""Decisions are partitioned by month."""

from django.db import migrations

from wingxtra.database.partitioning import by_month


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dispatch", "0025_decided_at")]

    operations = by_month("dispatch_dispatchdecision", "decided_at")

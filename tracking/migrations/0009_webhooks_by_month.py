"""Deliveries of webhooks are partitioned by month."""

from django.db import migrations

from wingxtra.database.partitioning import by_month


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tracking", "0008_events_without_foreign_keys")]

    operations = by_month("tracking_webhookdelivery", "created_at")

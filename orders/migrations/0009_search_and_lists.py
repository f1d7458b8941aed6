import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.text
from django.contrib.postgres.operations import (
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    TrigramExtension,
)
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built concurrently with writes

    dependencies = [
        ("accounts", "0002_customer_page"),
        ("fleet", "0007_looking_ahead"),
        ("orders", "0008_events_not_truncated"),
    ]

    operations = [
        TrigramExtension(),
        migrations.AlterField(
            model_name="order",
            name="customer_phone",
            field=models.CharField(blank=True, help_text="E.164.", max_length=128),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                fields=["-created_at", "-id"], include=("live_mode",), name="order_newest_mode"
            ),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                fields=["merchant", "-created_at", "-id"],
                include=("live_mode",),
                name="order_merchant_newest_mode",
            ),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                fields=["status", "-created_at", "-id"], name="order_status_newest"
            ),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                fields=["priority", "-created_at", "-id"], name="order_priority_newest"
            ),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(fields=["deliver_by"], name="order_promise"),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(
                condition=models.Q(("delivered_at__gt", models.F("deliver_by"))),
                fields=["-created_at"],
                name="order_delivered_late",
            ),
        ),
        AddIndexConcurrently(
            model_name="order",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.text.Upper(
                        django.db.models.functions.text.Concat(
                            "public_tracking_id",
                            models.Value("\n"),
                            "external_id",
                            models.Value("\n"),
                            "customer_name",
                            models.Value("\n"),
                            "customer_phone",
                        )
                    ),
                    name="gin_trgm_ops",
                ),
                gin_pending_list_limit=256,
                name="order_search",
            ),
        ),
        RemoveIndexConcurrently(model_name="order", name="order_newest"),
        RemoveIndexConcurrently(model_name="order", name="order_merchant_newest"),
        migrations.AlterField(
            model_name="order",
            name="merchant",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="accounts.merchant",
            ),
        ),
    ]

"""An intent becomes a mission of a drone, with the jobs that it carries out as rows of their own."""

import django.db.models.deletion
from django.db import migrations, models


def split(apps, schema_editor):
    """Each intent was for one job; a mission whose job is over counts as over by our own word."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dispatch_mission AS mission SET drone_id = job.drone_id
            FROM orders_deliveryjob AS job WHERE job.id = mission.job_id;
            INSERT INTO dispatch_missionpart (mission_id, job_id, order_id, live)
            SELECT mission.id, job.id, job.order_id, mission.tries > 0 AND job.status = 'ACTIVE'
            FROM dispatch_mission AS mission JOIN orders_deliveryjob AS job ON job.id = mission.job_id;
            UPDATE dispatch_mission AS mission
            SET over_at = job.ended_at, over_by = 'system', over_because = 'Its job ended.'
            FROM orders_deliveryjob AS job
            WHERE job.id = mission.job_id AND mission.tries > 0 AND job.status <> 'ACTIVE';
            """
        )


class Migration(migrations.Migration):
    dependencies = [
        ("dispatch", "0005_what_ifs"),
        ("orders", "0011_custody_invariants"),
        ("fleet", "0008_drone_holds"),
    ]

    operations = [
        migrations.RenameModel("MissionIntent", "Mission"),
        migrations.RemoveIndex("Mission", "intent_to_send"),
        migrations.AddIndex(
            "Mission",
            models.Index(
                fields=["next_try_at"],
                name="mission_to_send",
                condition=models.Q(("state", "PENDING"), ("recall_state", "WANTED"), _connector="OR"),
            ),
        ),
        migrations.AddIndex(
            "Mission", models.Index(fields=["-created_at"], name="mission_newest")
        ),
        migrations.AddField(
            "Mission",
            "kind",
            models.CharField(
                max_length=10,
                choices=[
                    ("DELIVERY", "Delivery"),
                    ("RETURN", "Return of a parcel"),
                    ("REPOSITION", "To another hub"),
                ],
                default="DELIVERY",
            ),
        ),
        migrations.AddField(
            "Mission",
            "drone",
            models.ForeignKey(
                "fleet.Drone",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="missions",
            ),
        ),
        migrations.AddField(
            "Mission",
            "recall_refused_at",
            models.DateTimeField(
                null=True,
                help_text="When ground control last gave no confirmation of a withdrawal.",
            ),
        ),
        migrations.AddField(
            "Mission",
            "said",
            models.CharField(
                max_length=40, blank=True, help_text="What ground control last said of it."
            ),
        ),
        migrations.AddField("Mission", "said_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "Mission",
            "stands_since",
            models.DateTimeField(
                null=True, help_text="Since when every look shows its drone disarmed at a hub."
            ),
        ),
        migrations.AddField("Mission", "over_at", models.DateTimeField(null=True)),
        migrations.AddField("Mission", "over_by", models.CharField(max_length=180, blank=True)),
        migrations.AddField("Mission", "over_because", models.CharField(max_length=300, blank=True)),
        migrations.AlterField(
            "Mission",
            "job",
            models.OneToOneField(
                "orders.DeliveryJob",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
            ),
        ),
        migrations.AlterField(
            "Mission",
            "order",
            models.ForeignKey(
                "orders.Order", on_delete=django.db.models.deletion.PROTECT, related_name="+"
            ),
        ),
        migrations.CreateModel(
            "MissionPart",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("live", models.BooleanField(default=False)),
                (
                    "job",
                    models.OneToOneField(
                        "orders.DeliveryJob",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="part",
                    ),
                ),
                (
                    "mission",
                    models.ForeignKey(
                        "dispatch.Mission",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="parts",
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        "orders.Order",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="parts",
                    ),
                ),
            ],
        ),
        migrations.RunPython(split, migrations.RunPython.noop, elidable=False),
    ]

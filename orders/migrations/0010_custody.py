"""Custody: the columns, and their values for existing orders."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


# Derived from the status: a delivered parcel is with its recipient, one at the door is aboard.
BACKFILL = """
UPDATE orders_order SET
    holder = CASE WHEN status = 'DELIVERED' THEN 'RECIPIENT' ELSE 'SENDER' END,
    holder_since = updated_at, last_step_at = updated_at;
UPDATE orders_order AS o SET holder = 'DRONE', holder_drone_id = job.drone_id
FROM orders_deliveryjob AS job
WHERE o.current_job_id = job.id AND o.status IN ('ARRIVED', 'DELIVERING')
    AND (job.drone_id IS NOT NULL OR NOT o.live_mode);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_customer_page'),
        ('fleet', '0008_drone_holds'),
        ('orders', '0009_search_and_lists'),
    ]

    operations = [
        migrations.AddField(
            model_name='order',
            name='attempts_forgiven',
            field=models.PositiveSmallIntegerField(default=0, editable=False, help_text='Attempts that do not count: ground control refused the form of every mission.'),
        ),
        migrations.AddField(
            model_name='order',
            name='hold_code',
            field=models.CharField(blank=True, choices=[('PARCEL_ABOARD', 'The parcel is on a drone whose flight is over'), ('PARCEL_UNKNOWN', 'It is not known where the parcel is')], editable=False, max_length=16),
        ),
        migrations.AddField(
            model_name='order',
            name='hold_message',
            field=models.CharField(blank=True, editable=False, max_length=300),
        ),
        migrations.AddField(
            model_name='order',
            name='hold_since',
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='order',
            name='holder',
            field=models.CharField(choices=[('SENDER', 'With the sender'), ('DRONE', 'On a drone'), ('HUB', 'At a hub'), ('RECIPIENT', 'With the recipient'), ('RETURNED', 'Back with the sender'), ('LOST', 'Lost'), ('UNKNOWN', 'Not known')], default='SENDER', editable=False, max_length=12),
        ),
        migrations.AddField(
            model_name='order',
            name='holder_drone',
            field=models.ForeignKey(db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='parcels', to='fleet.drone'),
        ),
        migrations.AddField(
            model_name='order',
            name='holder_hub',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='parcels', to='fleet.hub'),
        ),
        migrations.AddField(
            model_name='order',
            name='holder_since',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False),
        ),
        migrations.AddField(
            model_name='order',
            name='last_step_at',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, help_text='When its latest step happened; no later report is dated before it.'),
        ),
        migrations.AddField(
            model_name='order',
            name='parcel_ready_at',
            field=models.DateTimeField(editable=False, help_text='When it was said that the parcel can be loaded.', null=True),
        ),
        migrations.AddField(
            model_name='order',
            name='reason_code',
            field=models.CharField(blank=True, choices=[('NO_DRONE', 'No drone could take it.'), ('WEATHER', 'The weather did not allow the flight.'), ('MISSION_REFUSED', 'Ground control refused the flight.'), ('DRONE_PROBLEM', 'The drone had a problem.'), ('CUSTOMER_ABSENT', 'The customer was not there.'), ('RETURNED_TO_SENDER', 'The parcel went back to the sender.'), ('LOST', 'The parcel is lost.'), ('OTHER', 'It could not be delivered.')], editable=False, help_text='Why it ended FAILED or ABORTED.', max_length=20),
        ),
        migrations.AlterField(
            model_name='deliveryevent',
            name='type',
            field=models.CharField(choices=[('CREATED', 'Order placed'), ('VALIDATED', 'Checked'), ('QUEUED', 'Waiting for a drone'), ('ASSIGNED', 'Drone assigned'), ('REASSIGNED', 'Another drone assigned'), ('MISSION_SUBMITTED', 'Mission accepted by ground control'), ('LAUNCHED', 'Launched'), ('ENROUTE', 'On the way'), ('ARRIVED', 'At the drop point'), ('DELIVERING', 'Handing over'), ('DELIVERED', 'Delivered'), ('REQUEUED', 'Back in the queue'), ('RESCHEDULED', 'Rescheduled'), ('CANCELED', 'Canceled'), ('FAILED', 'Failed'), ('ABORTED', 'Aborted'), ('DROPOFF_CHANGED', 'Drop point moved'), ('DETAILS_CHANGED', 'Details changed'), ('INTENT_FAILED', 'Ground control not reached'), ('ABORT_REQUESTED', 'Abort asked for'), ('LINK_LOST', 'Link lost'), ('LINK_RESTORED', 'Link restored'), ('PARCEL_READY', 'Ready for pickup'), ('PARCEL_LOADED', 'Picked up'), ('PARCEL_UNLOADED', 'Back at a hub'), ('PARCEL_UNKNOWN', 'Looking for the parcel'), ('PARCEL_FOUND', 'Still with the sender'), ('PARCEL_RETURNED', 'Back with the sender'), ('PARCEL_LOST', 'Lost'), ('CORRECTED', 'Outcome corrected'), ('CONTRADICTION', 'Reports contradict each other'), ('LATE_REPORT', 'Report about an ended attempt'), ('MISSION_OVER', 'Mission known to be over'), ('PROOF_RECORDED', 'Proof recorded'), ('CODE_REFUSED', 'Wrong code')], max_length=20),
        ),
        migrations.AlterField(
            model_name='deliveryjob',
            name='mission_intent_id',
            field=models.UUIDField(db_index=True, default=uuid.uuid4, editable=False),
        ),
        migrations.RunSQL(BACKFILL, migrations.RunSQL.noop),
    ]

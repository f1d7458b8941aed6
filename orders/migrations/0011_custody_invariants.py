"""Constraints on custody, and the outcomes of an order that can be corrected.

Separate from 0010: PostgreSQL cannot alter a table with pending trigger events.
"""

import django.db.models.deletion
import django.db.models.lookups
from django.db import migrations, models

# Outcomes can be corrected (orders.outcome); a canceled order only to DELIVERED.
CORRECTED_ONLY = """
DROP TRIGGER orders_terminal_is_final ON orders_order;
CREATE TRIGGER orders_terminal_is_final BEFORE UPDATE OF status ON orders_order
    FOR EACH ROW
    WHEN (OLD.status IN ('DELIVERED', 'CANCELED', 'FAILED', 'ABORTED')
          AND NEW.status IS DISTINCT FROM OLD.status
          AND NEW.status <> 'DELIVERED'
          AND NOT (OLD.status IN ('DELIVERED', 'FAILED', 'ABORTED') AND NEW.status = 'FAILED'))
    EXECUTE FUNCTION orders_refuse_leaving_the_end();
"""
NEVER_LEFT = """
DROP TRIGGER orders_terminal_is_final ON orders_order;
CREATE TRIGGER orders_terminal_is_final BEFORE UPDATE OF status ON orders_order
    FOR EACH ROW
    WHEN (OLD.status IN ('DELIVERED', 'CANCELED', 'FAILED', 'ABORTED')
          AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION orders_refuse_leaving_the_end();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0010_custody")]

    operations = [
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('holder__in', ['DRONE', 'UNKNOWN'])), fields=['holder_since'], name='order_parcel_not_at_rest'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('hold_code', ''), _negated=True), fields=['hold_since'], name='order_held'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('holder__in', ['SENDER', 'DRONE', 'HUB', 'RECIPIENT', 'RETURNED', 'LOST', 'UNKNOWN'])), name='order_holder_known'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('holder', 'DRONE'), ('holder_drone__isnull', False)), models.Q(('holder', 'DRONE'), ('live_mode', False)), models.Q(models.Q(('holder', 'DRONE'), _negated=True), ('holder_drone__isnull', True)), _connector='OR'), name='order_drone_holds_what_it_carries'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('holder', 'HUB'), ('holder_hub__isnull', False)), models.Q(models.Q(('holder', 'HUB'), _negated=True), ('holder_hub__isnull', True)), _connector='OR'), name='order_hub_holds_what_lies_there'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.UniqueConstraint(fields=('holder_drone',), name='order_one_parcel_per_drone'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'DELIVERED'), _negated=True), ('holder', 'RECIPIENT'), _connector='OR'), name='order_delivered_is_with_the_recipient'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['ASSIGNED', 'MISSION_SUBMITTED']), _negated=True), ('holder__in', ['SENDER', 'HUB', 'DRONE']), _connector='OR'), name='order_is_flown_from_where_its_parcel_is'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('hold_code', ''), ('hold_since__isnull', True)), models.Q(('hold_since__isnull', False), ('status', 'QUEUED'), models.Q(('hold_code', ''), _negated=True)), _connector='OR'), name='order_hold_of_queued_orders_only'),
        ),
        migrations.RunSQL(CORRECTED_ONLY, NEVER_LEFT),
    ]

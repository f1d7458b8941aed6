"""One prediction of a delay for each promise, by a trigger: a unique index over all months does not
exist for a partitioned table.

Two transactions that write one for the same order take turns at the order's row. A query of the
trigger sees what was committed while it waited.
"""

from django.db import migrations

ONCE_PER_PROMISE = """
CREATE FUNCTION orders_refuse_second_delay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM orders_order WHERE id = NEW.order_id FOR NO KEY UPDATE;
    IF EXISTS (
        SELECT FROM orders_deliveryevent
        WHERE order_id = NEW.order_id AND type = 'DELAY_PREDICTED'
            AND payload->>'deliver_by' = NEW.payload->>'deliver_by'
    ) THEN
        RAISE EXCEPTION 'delay_predicted_once_per_promise: order %, promise %',
            NEW.order_id, NEW.payload->>'deliver_by' USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_delay_predicted_once BEFORE INSERT ON orders_deliveryevent
    FOR EACH ROW WHEN (NEW.type = 'DELAY_PREDICTED')
    EXECUTE FUNCTION orders_refuse_second_delay();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0026_holder_list")]

    operations = [
        migrations.RunSQL(
            ONCE_PER_PROMISE,
            """
            DROP TRIGGER orders_delay_predicted_once ON orders_deliveryevent;
            DROP FUNCTION orders_refuse_second_delay();
            """,
        ),
        migrations.RemoveConstraint("deliveryevent", "delay_predicted_once_per_promise"),
    ]

"""Triggers: events are append-only, and a terminal order keeps its status."""

from django.db import migrations

EVENTS_ARE_APPEND_ONLY = """
CREATE FUNCTION orders_refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'delivery events are append-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER orders_event_append_only BEFORE UPDATE OR DELETE ON orders_deliveryevent
    FOR EACH ROW EXECUTE FUNCTION orders_refuse_event_change();
"""

TERMINAL_ORDERS_STAY = """
CREATE FUNCTION orders_refuse_leaving_the_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'order % is % for good', OLD.id, OLD.status
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER orders_terminal_is_final BEFORE UPDATE OF status ON orders_order
    FOR EACH ROW
    WHEN (OLD.status IN ('DELIVERED', 'CANCELED', 'FAILED', 'ABORTED')
          AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION orders_refuse_leaving_the_end();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.RunSQL(
            EVENTS_ARE_APPEND_ONLY,
            """
            DROP TRIGGER orders_event_append_only ON orders_deliveryevent;
            DROP FUNCTION orders_refuse_event_change();
            """,
        ),
        migrations.RunSQL(
            TERMINAL_ORDERS_STAY,
            """
            DROP TRIGGER orders_terminal_is_final ON orders_order;
            DROP FUNCTION orders_refuse_leaving_the_end();
            """,
        ),
    ]

"""Turns a table into one partitioned by month. Migrations use it: what it does must not change.

The rows stay where they are: the old table becomes the first partition, `<table>_before`, for all
times up to the first month that is its own. What takes long (one index, one check of all rows) is
done beside readers and writers. The exchange itself locks the table and those that its foreign keys
name, for milliseconds, against readers as well.
"""

from django.db.migrations import RunSQL

# The month's end may come between the steps, so the old table takes a week of the next one.
SPARE = "7 days"


def by_month(table: str, column: str) -> list[RunSQL]:
    """Operations for a migration with `atomic = False`. `table` has the primary key `id`; nothing
    refers to it by a foreign key, and no other index is unique.

    The new table keeps the names of indexes, constraints and triggers. Its primary key is
    (id, column).
    """
    index = f"{table}_before_pkey"
    return [
        RunSQL(
            [
                f"DROP INDEX CONCURRENTLY IF EXISTS {index}",
                f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} (id, {column})",
            ]
        ),
        RunSQL(_RANGE.format(table=table, column=column, spare=SPARE)),
        RunSQL(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_before_range"),
        RunSQL(
            _EXCHANGE.format(
                table=table, column=column, index=index, locks=_LOCKS.format(table=table)
            )
        ),
    ]


# The database checks it without a lock, and then takes its word for it.
_RANGE = """
DO $$
DECLARE
    first_month timestamptz := (date_trunc('month', (now() + interval '{spare}') AT TIME ZONE 'UTC')
        + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_before_range;
    EXECUTE format(
        'ALTER TABLE {table} ADD CONSTRAINT {table}_before_range CHECK ({column} < %L) NOT VALID',
        first_month);
END $$
"""

# Making the foreign keys again locks the tables that they name, and against readers too, because
# those of the old table change. An open change of an order has locked its row and goes on to write
# here, so these tables come first. It gives up before PostgreSQL looks for a deadlock (1 s), and
# tries again: no other transaction fails. After 60 times it fails itself.
_LOCKS = """
    FOR attempt IN 1..60 LOOP
        BEGIN
            until := clock_timestamp() + interval '800 ms';
            FOR one IN
                SELECT name FROM (
                    SELECT DISTINCT confrelid::bigint AS made, confrelid::regclass AS name
                    FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'f'
                    UNION ALL SELECT NULL, '{table}'::regclass
                ) AS locked ORDER BY made NULLS LAST
            LOOP
                PERFORM set_config('lock_timeout', greatest(
                    1, extract(milliseconds FROM until - clock_timestamp())::int)::text, true);
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', one.name);
            END LOOP;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = 60 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(1);
        END;
    END LOOP;
"""

_EXCHANGE = """
DO $$
DECLARE
    before text := '{table}_before';
    first_month text := (
        SELECT substring(pg_get_expr(conbin, conrelid) FROM '''(.*)''') FROM pg_constraint
        WHERE conrelid = '{table}'::regclass AND conname = '{table}_before_range');
    kept text[] := '{{}}';
    on_default text[] := '{{}}';
    counted bigint;
    until timestamptz;
    one record;
    statement text;
BEGIN
{locks}
    FOR one IN
        SELECT i.indexrelid::regclass AS name, pg_get_indexdef(i.indexrelid) AS made_by
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = '{table}'::regclass AND NOT i.indisprimary AND c.relname <> '{index}'
    LOOP
        kept := kept || one.made_by;
        EXECUTE format('ALTER INDEX %s RENAME TO %I', one.name,
            left(trim(BOTH '"' FROM one.name::text), 56) || '_before');
    END LOOP;
    FOR one IN
        SELECT conname, pg_get_constraintdef(oid) AS made_by FROM pg_constraint
        WHERE conrelid = '{table}'::regclass AND contype = 'f'
    LOOP
        kept := kept || format(
            'ALTER TABLE {table} ADD CONSTRAINT %I %s', one.conname, one.made_by);
    END LOOP;
    FOR one IN
        SELECT tgname, pg_get_triggerdef(oid) AS made_by, tgtype & 1 = 1 AS is_for_rows
        FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND NOT tgisinternal
    LOOP
        kept := kept || one.made_by;
        IF one.is_for_rows THEN  -- the partitions get the new table's
            EXECUTE format('DROP TRIGGER %I ON {table}', one.tgname);
        ELSE
            on_default := on_default || regexp_replace(
                one.made_by, ' ON [^ ]+ ', ' ON {table}_default ');
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname = 'id'
            AND attidentity <> '') THEN
        counted := nextval(pg_get_serial_sequence('{table}', 'id'));
        ALTER TABLE {table} ALTER id DROP IDENTITY;
    END IF;
    SELECT conname INTO one FROM pg_constraint
        WHERE conrelid = '{table}'::regclass AND contype = 'p';
    EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I', one.conname);
    ALTER TABLE {table} ADD CONSTRAINT {index} PRIMARY KEY USING INDEX {index};
    EXECUTE format('ALTER TABLE {table} RENAME TO %I', before);
    EXECUTE format('CREATE TABLE {table} (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
        'INCLUDING STORAGE INCLUDING COMMENTS) PARTITION BY RANGE ({column})', before);
    ALTER TABLE {table} DROP CONSTRAINT {table}_before_range;
    ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY (id, {column});
    IF counted IS NOT NULL THEN
        EXECUTE format('CREATE SEQUENCE {table}_id_seq START %s OWNED BY {table}.id', counted);
        ALTER TABLE {table} ALTER id SET DEFAULT nextval('{table}_id_seq');
        EXECUTE format('ALTER TABLE %I ALTER id SET DEFAULT nextval(%L)', before, '{table}_id_seq');
    END IF;
    FOREACH statement IN ARRAY kept LOOP
        EXECUTE statement;
    END LOOP;
    CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;
    FOREACH statement IN ARRAY on_default LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I LIMIT 1) AS one', before) INTO counted;
    IF counted = 0 THEN
        EXECUTE format('DROP TABLE %I', before);  -- a new installation
    ELSE
        EXECUTE format('ALTER TABLE {table} ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
            before, first_month);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT {table}_before_range', before);
    END IF;
END $$
"""

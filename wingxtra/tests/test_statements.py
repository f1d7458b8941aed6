"""Prepared statements: their results, and changes of the schema under them."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import DataError, IntegrityError, connections, transaction
from django.db.models import Exists, OuterRef
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, KnownAddress, Merchant
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.database import few_rows, statements
from wingxtra.database.few_rows import RowChange
from wingxtra.database.postgresql import base
from wingxtra.database.statements import (
    PlannedStatement,
    Statement,
    Update,
    Updates,
    connection,
)


def keys_of(name: str) -> Statement[ApiKey]:
    def usable(now: datetime, hint: str):
        keys = ApiKey.objects.usable(now).select_related("merchant")
        return keys.filter(hint=hint, name=name).order_by("pk")

    return Statement(usable, now=datetime, hint=str)


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements ORDER BY statement")
        return [statement for (statement,) in cursor.fetchall()]


@pytest.mark.django_db
def test_it_finds_the_same_object_as_the_queryset_with_its_joins() -> None:
    merchant = MerchantFactory()
    key, _ = ApiKey.issue(name="till 3", role=Role.MERCHANT, merchant=merchant)
    with CaptureQueriesContext(connection) as captured:
        found = keys_of("till 3").first(now=timezone.now(), hint=key.hint)
        assert found == key
        assert found.merchant == merchant
    assert len(captured) == 1
    assert key.hint in captured[0]["sql"], "a captured query shows its values"
    for column in ApiKey._meta.concrete_fields:
        assert getattr(found, column.attname) == getattr(key, column.attname)


@pytest.mark.django_db
def test_it_returns_none_without_a_row() -> None:
    assert keys_of("till 3").first(now=timezone.now(), hint="wx_live_none") is None
    empty = Statement(lambda hint: ApiKey.objects.none().filter(hint=hint), hint=str)
    assert empty.first(hint="wx_live_none") is None


@pytest.mark.django_db
def test_it_finds_all_rows_with_their_annotations_and_columns_left_out() -> None:
    keys = [ApiKey.issue(name="till", role=Role.OPS)[0] for _ in range(3)]
    named = Statement(
        lambda name: (
            ApiKey.objects.filter(name=name)
            .annotate(also=Exists(ApiKey.objects.filter(pk=OuterRef("pk"), role=Role.OPS)))
            .only("hint")
            .order_by("pk")
        ),
        name=str,
    )
    with CaptureQueriesContext(connection) as captured:
        found = named.all(name="till")
        assert [(key.pk, key.hint) for key in found] == sorted((k.pk, k.hint) for k in keys)
        assert all(key.also for key in found)
    assert len(captured) == 1
    assert found[0].role == Role.OPS  # a column that was left out is read when it is asked for
    assert named.all(name="no such key") == []


@pytest.mark.django_db
def test_a_constant_that_looks_like_a_parameter_stays_a_constant() -> None:
    key, _ = ApiKey.issue(name="hint", role=Role.OPS)
    assert keys_of("hint").first(now=timezone.now(), hint=key.hint) == key
    assert keys_of("now").first(now=timezone.now(), hint=key.hint) is None


@pytest.mark.django_db
def test_a_queryset_that_does_not_use_a_parameter_is_refused() -> None:
    careless = Statement(lambda hint: ApiKey.objects.filter(hint=hint + "…"), hint=str)
    with pytest.raises(ValueError, match="does not use hint"):
        careless.first(hint="wx_live_none")


@pytest.mark.django_db
def test_each_text_has_its_own_cursor_which_keeps_no_rows() -> None:
    texts = ("SELECT %s::text", "SELECT %s::int, %s::timestamptz", "SELECT %s::jsonb AS j")
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for _ in range(4):  # more than PREPARE_THRESHOLD
        assert connection.rows_of(texts[0], ["Ama"]) == [("Ama",)]
        assert connection.rows_of(texts[1], [7, at]) == [(7, at)]
        assert connection.rows_of(texts[2], ['{"a": 1}']) == [({"a": 1},)]
    kept = connection.connection.kept_cursors
    assert set(texts) <= set(kept)
    assert all(kept[text].pgresult is kept[text]._tx.pgresult is None for text in texts)


@pytest.mark.django_db
def test_a_statement_works_again_after_an_error() -> None:
    text = "SELECT 1 / %s"
    assert connection.rows_of(text, [1]) == [(1,)]
    with pytest.raises(DataError), transaction.atomic():
        connection.rows_of(text, [0])
    assert connection.rows_of(text, [1]) == [(1,)]


@pytest.mark.django_db
def test_any_number_of_texts_leaves_few_cursors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MAX_KEPT_CURSORS", 5)
    for number in range(20):
        assert connection.rows_of(f"SELECT %s + {number}", [1]) == [(1 + number,)]
    assert len(connection.connection.kept_cursors) <= 5


@pytest.mark.django_db(transaction=True)
def test_postgresql_prepares_it_and_keeps_it_between_requests() -> None:
    statement = keys_of("till 3")
    for _ in range(40):  # a few times on each connection of the pool
        statement.first(now=timezone.now(), hint="wx_live_none")
        connection.close()  # as at the end of a request: return it to the pool
    assert any("accounts_apikey" in text for text in prepared())


@pytest.fixture
def widened_merchants() -> Iterator[None]:
    """A migration changes the type of a column, and back."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_merchant ALTER name TYPE varchar(120)")


@pytest.mark.django_db(transaction=True)
def test_a_changed_column_type_causes_no_error(widened_merchants: None) -> None:
    merchant = MerchantFactory()
    key, _ = ApiKey.issue(name="till 3", role=Role.MERCHANT, merchant=merchant)
    statement = keys_of("till 3")
    for _ in range(4):
        assert statement.first(now=timezone.now(), hint=key.hint) == key
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("ALTER TABLE accounts_merchant ALTER name TYPE text")
    finally:
        other.close()
    assert statement.first(now=timezone.now(), hint=key.hint) == key


@pytest.mark.django_db
def test_rows_are_written_in_one_statement_and_get_their_ids() -> None:
    merchants = [Merchant(name=f"Shop {n}") for n in range(3)]
    with CaptureQueriesContext(connection) as captured:
        few_rows.insert(merchants)
    assert len(captured) == 1
    assert list(Merchant.objects.order_by("name")) == merchants
    merchants[0].name = "Corner shop"
    merchants[0].save()  # an UPDATE: the object knows that its row exists
    assert Merchant.objects.get(pk=merchants[0].pk).name == "Corner shop"


@pytest.mark.django_db
def test_an_existing_row_is_refused_or_left_unchanged() -> None:
    merchant = MerchantFactory()
    copy = Merchant(pk=merchant.pk, name="Another")
    another = Merchant(name="Another")
    assert few_rows.insert_those_that_are_new([copy, another]) == [another]
    with pytest.raises(IntegrityError), transaction.atomic():
        few_rows.insert([copy])
    names = Merchant.objects.values_list("name", flat=True)
    assert set(names) == {merchant.name, "Another"}
    assert copy._state.adding
    assert not another._state.adding


@pytest.mark.django_db
def test_a_new_row_and_rows_that_need_it_are_written_in_one_statement_or_none_of_them() -> None:
    def keys_of(merchant: Merchant, *names: str) -> list[ApiKey]:
        return [
            ApiKey(merchant=merchant, name=name, role=Role.MERCHANT, digest=f"{merchant.pk} {name}")
            for name in names
        ]

    merchant = Merchant(name="Corner shop")
    keys = keys_of(merchant, "till", "web")
    with CaptureQueriesContext(connection) as sent:
        assert few_rows.insert_if_new_with(merchant, keys)
    assert len(sent) == 1
    assert list(ApiKey.objects.filter(merchant=merchant).order_by("pk")) == keys
    keys[1].save()  # an UPDATE
    assert ApiKey.objects.get(name="web").pk == keys[1].pk

    copy = Merchant(pk=merchant.pk, name="Another")
    others = keys_of(copy, "another")
    assert not few_rows.insert_if_new_with(copy, others)
    assert (copy._state.adding, others[0].pk) == (True, None)
    assert ApiKey.objects.count() == 2

    with pytest.raises(DataError), transaction.atomic():
        few_rows.insert_if_new_with(new := Merchant(name="Long"), keys_of(new, "x" * 1000))


@pytest.mark.django_db
def test_more_rows_than_fit_into_one_statement_are_inserted() -> None:
    merchants = [Merchant(name=f"Till {n}") for n in range(250)]
    with CaptureQueriesContext(connection) as sent:
        assert few_rows.insert_those_that_are_new(merchants) == merchants
    assert len(sent) == 3
    assert Merchant.objects.count() == 250


TIMES = [
    "2026-11-30 06:13:01.882899+00",
    "2026-11-30 06:13:01.88+00",
    "2026-02-28 23:59:59+00",
    "1969-07-20 20:17:40+00",
    "2026-11-30 06:13:01+05:30",
]


@pytest.mark.django_db
@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_read_as_it_was_written(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz, %s::timestamptz[]", [text, f'{{"{text}"}}'])
        found, (in_a_list,) = cursor.fetchone()
    assert found == in_a_list == datetime.fromisoformat(text)
    assert found.tzinfo is UTC


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["10000-01-01 00:00+00", "0044-03-15 12:00+00 BC", "infinity"])
def test_a_time_that_python_does_not_know_is_an_error(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [text])
        with pytest.raises(DataError):
            cursor.fetchone()


@pytest.mark.django_db
def test_values_are_tuples_and_are_counted() -> None:
    for name in ("100% fresh", "100 fresh", "a_b", "axb", "c\\d"):
        MerchantFactory(name=name)
    named = PlannedStatement(
        lambda part: (
            Merchant.objects.filter(name__icontains=part).order_by("name").values_list("name")
        ),
        part=str,
    )
    for part, names in (("0% F", ["100% fresh"]), ("A_B", ["a_b"]), ("c\\D", ["c\\d"])):
        assert named.all(part=part) == [(name,) for name in names]
    assert named.count(part="FRESH") == 2
    assert named.count(part="stale") == 0
    nothing = Statement(lambda part: Merchant.objects.none().filter(name=part), part=str)
    assert nothing.count(part="fresh") == 0


@pytest.mark.django_db
def test_a_planned_statement_is_never_prepared() -> None:
    statements.forget_prepared()
    by_hint = PlannedStatement(lambda hint: ApiKey.objects.filter(hint=hint), hint=str)
    for _ in range(5):
        by_hint.first(hint="wx_live_none")
    assert not any("accounts_apikey" in text for text in prepared())


@pytest.mark.django_db
def test_a_row_is_changed_by_its_id_in_one_statement() -> None:
    merchant, other = MerchantFactory(name="Till"), MerchantFactory(name="Other")
    with CaptureQueriesContext(connection) as sent:
        few_rows.update(Merchant, merchant.pk, name="Shop", active=False)
    assert len(sent) == 1
    stored = Merchant.objects.order_by("name").values_list("pk", "name", "active")
    assert list(stored) == [(other.pk, "Other", True), (merchant.pk, "Shop", False)]
    with pytest.raises(IntegrityError), transaction.atomic():
        few_rows.update(Merchant, merchant.pk, name="Other")


@pytest.mark.django_db
def test_rows_are_written_with_changes_of_others_in_one_statement() -> None:
    merchant = MerchantFactory(name="Till")
    key, _ = ApiKey.issue(name="till", role=Role.MERCHANT, merchant=merchant)
    change = RowChange(ApiKey, key.pk, {"name": "till 3", "last_used_at": None})
    renamed = RowChange(Merchant, merchant.pk, {"name": "Shop"})
    address = KnownAddress(user=UserFactory(), digest="abc", last_login_at=timezone.now())
    with CaptureQueriesContext(connection) as sent:
        few_rows.insert([address], [change, renamed])
    assert len(sent) == 1
    assert KnownAddress.objects.get() == address
    key.refresh_from_db()
    assert (key.name, key.merchant.name) == ("till 3", "Shop")


@pytest.mark.django_db
def test_a_row_is_not_written_when_a_change_beside_it_is_refused() -> None:
    merchant, other = MerchantFactory(name="Till"), MerchantFactory(name="Other")
    address = KnownAddress(user=UserFactory(), digest="abc", last_login_at=timezone.now())
    taken = RowChange(Merchant, merchant.pk, {"name": other.name})
    with pytest.raises(IntegrityError), transaction.atomic():
        few_rows.insert([address], [taken])
    assert not KnownAddress.objects.exists()
    assert address._state.adding


@pytest.mark.django_db
def test_updates_of_several_tables_are_one_statement() -> None:
    merchant = MerchantFactory(name="Till")
    for name in ("till 1", "till 2"):
        ApiKey.issue(name=name, role=Role.MERCHANT, merchant=merchant)
    no_row = Update(lambda name: (Merchant.objects.none(), {"name": name}), name=str)
    close = Updates(
        Update(
            lambda ids, at: (
                ApiKey.objects.filter(merchant__name="Till", name__among=ids),
                {"revoked_at": at},
            ),
            ids=list,
            at=datetime,
        ),
        Update(
            lambda name: (Merchant.objects.filter(name="Till"), {"name": name}),
            name=str,
        ),
        no_row,
    )
    at = timezone.now()
    with CaptureQueriesContext(connection) as sent:
        close.run(ids=["till 1"], at=at, name="Closed")
    assert len(sent) == 1
    revoked = ApiKey.objects.order_by("name").values_list("name", "revoked_at")
    assert list(revoked) == [("till 1", at), ("till 2", None)]
    assert Merchant.objects.get().name == "Closed"
    with CaptureQueriesContext(connection) as sent:
        Updates(no_row).run(name="Nothing")
    assert len(sent) == 0


@pytest.mark.django_db
def test_rows_are_changed_by_the_values_that_they_have() -> None:
    first, second = MerchantFactory(name="Till"), MerchantFactory(name="Other", active=False)
    assert few_rows.update_where(Merchant, {"pk": first.pk, "active": False}, name="Shop") == 0
    assert few_rows.update_where(Merchant, {"pk": second.pk, "active": False}, name="Shop") == 1
    assert few_rows.update_where(Merchant, {"active": True}, active=False) == 1
    stored = Merchant.objects.order_by("name").values_list("name", "active")
    assert list(stored) == [("Shop", False), ("Till", False)]


@pytest.mark.django_db
def test_a_plan_for_any_values_uses_partial_indexes() -> None:
    """Constants are a part of the text. As parameters they would hide that an index covers them."""
    waiting = Statement(
        lambda name: ApiKey.objects.filter(name=name, role="100% “OPS”", hint="%s").only("pk"),
        name=str,
    )
    assert waiting.all(name="till") == []
    with CaptureQueriesContext(connection) as sent:
        waiting.all(name="%s")
    assert sent[0]["sql"].count("'%s'") == 2, sent[0]["sql"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX of_staff ON accounts_apikey (name) WHERE role = 'OPS'")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("SET LOCAL enable_seqscan = off")
    sql = Statement(
        lambda name: ApiKey.objects.filter(name=name, role=Role.OPS).order_by(), name=str
    ).compiled.sql
    for _ in range(3):
        plan = " ".join(line for (line,) in connection.rows_of(f"EXPLAIN {sql}", ["till"]))
    assert "of_staff" in plan


@pytest.mark.django_db
def test_a_row_is_inserted_only_if_it_is_new() -> None:
    address = {"user": UserFactory(), "digest": "abc", "last_login_at": timezone.now()}
    row, again = KnownAddress(**address), KnownAddress(**address)
    assert few_rows.insert_if_new(row)
    assert KnownAddress.objects.get().pk == row.pk
    assert not few_rows.insert_if_new(again)
    assert again.pk is None

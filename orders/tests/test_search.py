"""The search for orders: its matches and its use of indexes."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from orders.models import Order, search
from orders.tests.factories import OrderFactory, multiply_orders
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, key_client

pytestmark = pytest.mark.django_db

PLENTY = 20_000


def found(text: str) -> set[Order]:
    return set(Order.objects.matching(text))


def test_a_part_of_id_reference_name_or_phone_finds_an_order_in_any_case() -> None:
    order = OrderFactory(
        external_id="Shop-77.b", customer_name="Ɛfua Ménsah", customer_phone="+233201112223"
    )
    OrderFactory(external_id="other", customer_name="Kofi", customer_phone="+14155550100")
    tracking_id = order.public_tracking_id
    for text in (
        tracking_id,
        tracking_id[2:7].lower(),
        "shop-77",
        "P-77.B",
        "ɛfua",
        "MÉNSAH",
        "fua mén",
        "233201112",
        "+2332",
        str(order.pk),
        str(order.pk).upper(),
    ):
        assert found(text) == {order}, text
    assert found("nobody") == found(str(uuid.uuid4())) == set()


def test_without_personal_data_nothing_is_found_by_name_or_phone() -> None:
    order = OrderFactory(
        external_id="Shop-77", customer_name="Efua Mensah", customer_phone="+233201112223"
    )
    tracking_id = order.public_tracking_id
    for text in (tracking_id, tracking_id[2:7].lower(), "shop-77", str(order.pk), "77 shop"):
        assert set(Order.objects.matching(text, in_full=False)) == {order}, text
    for text in ("Efua", "+233201112223", "0201112223", "23320", "shop Efua"):
        assert order in found(text), text
        assert not Order.objects.matching(text, in_full=False).exists(), text


def test_a_phone_number_is_found_as_people_write_it() -> None:
    order = OrderFactory(customer_phone="+233241234567")
    OrderFactory(customer_phone="+233241234568", public_tracking_id="0241234567ABC")
    for text in (
        "+233 24 123 4567",
        "00233241234567",
        "00233 24 123-4567",
        "024 123 4567",
        "(024) 123.4567",
    ):
        assert order in found(text), text
    assert found("+233 24 123 4567") == {order}
    assert found("024 999 4567") == set()


def test_a_tracking_id_is_found_as_people_read_and_paste_it() -> None:
    order = OrderFactory(public_tracking_id="7Q2KM9XW4TZ10")
    OrderFactory(public_tracking_id="7Q2KM9XW5TZ10")
    for text in (
        "7Q2K-M9XW-4TZ10",
        "7q2k m9xw 4tz10",
        "7Q2KM9XW4TZIO",
        "M9XW-4TZ",
        "https://delivery.example/track/7Q2KM9XW4TZ10/",
        "https://delivery.example/track/7Q2KM9XW4TZ10/?lang=fr",
    ):
        assert found(text) == {order}, text


def test_several_words_match_in_any_order_and_in_different_fields() -> None:
    order = OrderFactory(
        customer_name="Ama Mensah",
        external_id="shop-77",
        public_tracking_id="AAAAAAAAAAAAA",
        customer_phone="+233241234561",
    )
    OrderFactory(
        customer_name="Ama Owusu",
        external_id="shop-78",
        public_tracking_id="BBBBBBBBBBBBB",
        customer_phone="+233241234562",
    )
    for text in ("mensah ama", "  Ama   Mensah ", "77 mensah", "shop ama 77"):
        assert found(text) == {order}, text
    assert found("ama nobody") == set()


@given(st.text(max_size=60))
def test_any_text_has_terms(text: str) -> None:
    terms = search.terms_of(text)
    assert terms is None or all(len(each) >= 4 for each in terms.wholes)


def test_like_wildcards_are_searched_literally() -> None:
    percent = OrderFactory(customer_name="100% Ama")
    under = OrderFactory(customer_name="Ama_B")
    slash = OrderFactory(customer_name="Ama\\B")
    OrderFactory(customer_name="Ama B")
    assert found("100%") == found("%") == {percent}
    assert found("Ama_") == found("_") == {under}
    assert found("a\\B") == {slash}


def test_a_search_does_not_match_across_two_fields() -> None:
    OrderFactory(external_id="abc", customer_name="def", customer_phone="+233241234567")
    assert found("abcdef") == found("def+233") == set()
    assert found("abc\ndef") == set()
    assert found("\n") == set()


@pytest.fixture
def plenty() -> None:
    """Orders of one merchant with two customer names, one of them rare."""
    OrderFactory(external_id="ref-0", customer_name="Kojo Owusu")
    name = "CASE mod(n, 5) WHEN 0 THEN 'Ama Mensah ' ELSE 'Kofi Boateng ' END || n"
    multiply_orders(
        PLENTY,
        {
            "id": "gen_random_uuid()",
            "public_tracking_id": "left(md5('track' || n), 13)",
            "external_id": "'ref-' || n",
            "customer_name": name,
            "created_at": "created_at - n * interval '1 minute'",
        },
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT gin_clean_pending_list('order_search')")
        cursor.execute("ANALYZE orders_order")


def explained(sql: str, values: Any = None) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {sql}", values)
        return "\n".join(line for (line,) in cursor.fetchall())


def page_of(text: str) -> tuple[str, Any]:
    return Order.objects.matching(text)[:20].query.sql_with_params()


RARE, FREQUENT, NONE = "mensah 1995", "boateng", "nobody"


@pytest.mark.parametrize("text", [RARE, NONE])
def test_a_rare_text_is_found_by_an_index(plenty: None, text: str) -> None:
    plan = explained(*page_of(text))
    assert "order_search" in plan
    assert "Seq Scan" not in plan


def test_a_frequent_text_is_found_among_the_newest_orders(plenty: None) -> None:
    plan = explained(*page_of(FREQUENT))
    assert "order_newest_mode" in plan
    assert "Sort" not in plan


@pytest.fixture
def prepared_search(plenty: None) -> Iterator[None]:
    """The search as a prepared statement, executed until PostgreSQL may use a generic plan."""
    sql, values = page_of("PATTERN")
    with connection.cursor() as cursor:
        text = cursor.cursor.mogrify(sql, values)
        cursor.execute("PREPARE search (text) AS " + text.replace("'%PATTERN%'", "$1"))
        for sought in [RARE, FREQUENT, NONE] * 4:
            cursor.execute(f"EXECUTE search ('%{sought}%')")
        yield
        cursor.execute("DEALLOCATE search")


@pytest.mark.parametrize("text", [RARE, NONE])
def test_a_rare_text_is_found_by_an_index_also_when_prepared(
    prepared_search: None, text: str
) -> None:
    plan = explained(f"EXECUTE search ('%{text}%')")
    assert "order_search" in plan
    assert "Seq Scan" not in plan


def test_searches_are_never_prepared(plenty: None) -> None:
    client = key_client(role=Role.OPS)
    for text in [RARE, FREQUENT, NONE] * 4:
        assert client.get("/api/v1/orders", {"q": text}).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%LIKE%'")
        assert cursor.fetchone() == (0,)


def test_a_merchant_finds_only_its_own(plenty: None) -> None:
    mine = OrderFactory(merchant=MerchantFactory(), customer_name="Ama Mensah 1995")
    client = key_client(merchant=mine.merchant)
    body = client.get("/api/v1/orders", {"q": "mensah"}).json()
    assert [item["id"] for item in body["items"]] == [str(mine.pk)]
    assert body["total"] == 1


def test_the_total_of_a_search_says_when_there_are_more(plenty: None) -> None:
    client = key_client(role=Role.OPS)
    body = client.get("/api/v1/orders", {"q": "boateng"}).json()
    assert (body["total"], body["total_is_at_least"]) == (1_000, True)
    last = client.get("/api/v1/orders", {"q": "boateng", "page": "200"}).json()
    assert len(last["items"]) == 20
    few = client.get("/api/v1/orders", {"q": "ref-1995"}).json()
    assert few["total"] == 11  # ref-1995 and ref-19950 to ref-19959
    assert "total_is_at_least" not in few

"""`/track/<id>/`: useful without JavaScript, friendly when something is wrong, and private."""

import base64
import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from orders.models import Order
from orders.states import TERMINAL, PodRequirement, Status
from orders.tracking_ids import new_tracking_id
from tracking.page import cache, page_context
from tracking.tests.deliveries import expect_in, proved_order, secret_order, secrets_of

pytestmark = pytest.mark.django_db


def page(tracking_id: str, **headers: str) -> Any:
    return Client().get(f"/track/{tracking_id}/", headers=headers)


def words(answer: Any) -> str:
    """What a person reads: text without tags, one blank between words."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


@pytest.mark.parametrize("status", Status)
def test_every_state_has_a_page_with_its_headline(status: Status) -> None:
    order = secret_order(status)

    answer = page(order.public_tracking_id)

    assert answer.status_code == 200
    assert cache.fetch(order.public_tracking_id).view["headline"] in words(answer)
    assert "Shop by the sea" in words(answer)
    assert "+233 30 200 0000" in words(answer)


def test_a_flight_shows_when_it_is_expected_and_what_to_have_ready() -> None:
    order = secret_order(Status.ENROUTE, pod_requirement=PodRequirement.OTP)
    expect_in(order, minutes=3.5)

    told = words(page(order.public_tracking_id))

    assert "On its way, about 4 minutes" in told
    assert re.search(r"Expected \d\d:\d\d – \d\d:\d\d", told)
    assert re.search(r"Still to fly \d+ m", told)
    assert "Have your six-digit code ready" in told


def test_the_step_that_it_is_at_is_marked() -> None:
    html = page(secret_order(Status.ENROUTE).public_tracking_id).content.decode()

    marked = re.findall(r'<li class="(\w+)"[^>]*>\s*<span>([^<]+)', html)
    assert marked == [
        ("done", "Received"),
        ("done", "Getting ready"),
        ("current", "On its way"),
        ("ahead", "At the drop point"),
        ("ahead", "Delivered"),
    ]


@pytest.mark.parametrize(
    ("status", "steps"),
    [
        (Status.CANCELED, [("done", "Received"), ("ended", "Canceled")]),
        (
            Status.FAILED,
            [("done", "Received"), ("done", "Getting ready"), ("ended", "Could not be delivered")],
        ),
    ],
)
def test_what_fell_through_has_no_steps_ahead_and_says_whom_to_ask(
    status: Status, steps: list[tuple[str, str]]
) -> None:
    html = page(secret_order(status).public_tracking_id).content.decode()

    assert re.findall(r'<li class="(\w+)"[^>]*>\s*<span>([^<]+)', html) == steps
    assert 'class="button" href="tel:+233302000000">Contact Shop by the sea' in html


def test_before_there_is_a_forecast_the_promise_is_told() -> None:
    order = secret_order(Status.QUEUED)
    assert re.search(r" Promised by \d+ \w{3}, \d\d:\d\d ", words(page(order.public_tracking_id)))

    Order.objects.filter(pk=order.pk).update(deliver_by=timezone.now() - timedelta(minutes=5))
    cache.fetch(order.public_tracking_id, fresh=True)
    told = words(page(order.public_tracking_id))
    assert "Delayed: waiting for a drone" in told
    assert "Was promised by" in told


def test_a_delivery_says_when_it_arrived_and_how_it_was_received() -> None:
    told = words(page(proved_order().public_tracking_id))

    assert re.search(r"Arrived \d+ \w{3}, \d\d:\d\d Received with A signature", told)


@pytest.mark.parametrize(
    ("text", "opens"),
    [
        ("+233 30 200-0000", "tel:+233302000000"),
        ("(030) 200 0000", "tel:0302000000"),
        ("030 200 0000", "tel:0302000000"),
        ("help@shop.example", "mailto:help@shop.example"),
        ("https://shop.example/help", "https://shop.example/help"),
        ("http://shop.example", ""),
        ("javascript:alert(1)@x.example", ""),
        ("Ask at the counter", ""),
        ("", ""),
    ],
)
def test_a_tap_on_the_contact_calls_writes_or_opens(text: str, opens: str) -> None:
    assert page_context.contact(text) == opens


def test_what_goes_on_is_read_out_when_it_changes() -> None:
    html = page(secret_order(Status.ENROUTE).public_tracking_id).content.decode()

    assert re.search(r'<div role="status">\s*<h1', html)


@pytest.mark.parametrize("status", Status)
def test_it_renews_itself_until_it_is_over(status: Status) -> None:
    html = page(secret_order(status).public_tracking_id).content.decode()

    assert ('http-equiv="refresh"' in html) == (status not in TERMINAL)


def test_no_script_holds_up_the_page_and_its_policy_allows_nothing_unsafe() -> None:
    answer = page(secret_order(Status.ENROUTE).public_tracking_id)
    html = answer.content.decode()
    scripts = re.findall(r"<script[^>]*>[^<]*", html)

    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert scripts
    assert all(re.fullmatch(r'<script src="/static/[^"]+" defer>', script) for script in scripts)
    assert not re.search(r"\sstyle=|\son\w+=|javascript:", html)


def test_the_one_style_block_is_allowed_by_its_digest() -> None:
    answer = page(secret_order(Status.ENROUTE).public_tracking_id)
    (block,) = re.findall(r"<style>([^<]*)</style>", answer.content.decode())
    digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()

    assert f"style-src 'self' 'sha256-{digest}';" in answer.headers["Content-Security-Policy"]


def test_nothing_on_it_comes_from_elsewhere() -> None:
    html = page(secret_order(Status.ENROUTE).public_tracking_id).content.decode()

    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', html)
    assert addresses
    assert all(re.match("/(static|track)/|tel:", address) for address in addresses)


def test_the_id_may_be_typed_as_on_paper_and_without_the_last_slash() -> None:
    tracking_id = secret_order(Status.QUEUED).public_tracking_id
    typed = f"{tracking_id[:4]}-{tracking_id[4:8]}-{tracking_id[8:]}".lower()

    assert page(typed).status_code == 200
    assert Client().get(f"/track/{tracking_id}").status_code == 200


@pytest.mark.parametrize("bad", ["x", "7Q2KM9XW4TZ1U", "a" * 500])
def test_unknown_and_malformed_ids_get_the_same_friendly_page(bad: str) -> None:
    unknown, malformed = page(new_tracking_id()), page(bad)

    assert (unknown.status_code, malformed.status_code) == (404, 404)
    assert unknown.content == malformed.content
    assert "We do not know this delivery" in words(unknown)
    assert unknown.headers["Cache-Control"] == "no-store"


def test_what_is_not_changed_is_not_sent_again() -> None:
    tracking_id = secret_order(Status.QUEUED).public_tracking_id
    tag = page(tracking_id).headers["ETag"]

    unchanged = page(tracking_id, **{"If-None-Match": tag})

    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_it_asks_the_database_no_more_than_the_api_does(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    tracking_id = secret_order(Status.ENROUTE).public_tracking_id

    with django_assert_max_num_queries(3):
        page(tracking_id)
    with django_assert_max_num_queries(0):
        page(tracking_id)


def test_names_of_merchants_cannot_bring_markup_in() -> None:
    order = secret_order(Status.QUEUED)
    order.merchant.name = "<script>alert(1)</script>"
    order.merchant.save()

    html = page(order.public_tracking_id).content.decode()

    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_who_comes_too_often_is_asked_for_a_moment(settings: Settings) -> None:
    settings.API_RATE_PUBLIC = "2/minute"
    tracking_id = secret_order(Status.QUEUED).public_tracking_id

    answers = [page(tracking_id) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) >= 1
    assert "One moment, please" in words(answers[2])


def test_when_redis_is_away_the_page_says_so_and_comes_back(settings: Settings) -> None:
    tracking_id = secret_order(Status.QUEUED).public_tracking_id
    there = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    cache._redis.cache_clear()
    try:
        away = page(tracking_id)
    finally:
        settings.REDIS_URL = there
        cache._redis.cache_clear()

    assert away.status_code == 503
    assert 'http-equiv="refresh"' in away.content.decode()
    assert "We cannot look just now" in words(away)
    assert page(tracking_id).status_code == 200


# --- privacy -------------------------------------------------------------------------------------


def everything_told(order: Order) -> str:
    """Page, JSON and their headers, as one text."""
    paths = (
        f"/track/{order.public_tracking_id}/",
        f"/api/v1/tracking/{order.public_tracking_id}",
        f"/api/v1/tracking/{order.public_tracking_id}/otp",
        f"/api/v1/tracking/{order.public_tracking_id}/signature",
        f"/api/v1/tracking/{order.public_tracking_id}/dropoff",
        f"/api/v1/tracking/{order.public_tracking_id}/confirm",
        f"/track/{order.public_tracking_id}/qr.svg",
        f"/track/{order.public_tracking_id}/logo",
        f"/track/{order.public_tracking_id}/?lang=fr",
    )
    client = Client()
    answers = [
        answer
        for path in paths
        for answer in (client.get(path), client.post(path, {}, "application/json"))
    ]
    return "\n".join(answer.content.decode() + str(answer.headers) for answer in answers)


@pytest.mark.parametrize("status", Status)
def test_no_secret_of_an_order_is_told_in_any_state(status: Status) -> None:
    order = secret_order(status)

    told = everything_told(order)

    assert [secret for secret in secrets_of(order) if secret in told] == []


def test_no_secret_of_a_proof_is_told() -> None:
    order = proved_order()

    told = everything_told(order)

    assert [secret for secret in secrets_of(order) if secret in told] == []


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ENROUTE, Status.DELIVERED])
def test_no_page_sets_a_cookie_or_gives_its_address_away(status: Status) -> None:
    headers = page(secret_order(status).public_tracking_id).headers

    assert "Set-Cookie" not in headers
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert headers["Cache-Control"] == "public, max-age=3"

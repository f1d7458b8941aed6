"""`/track/<id>/` without JavaScript: content, errors, headers and privacy."""

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


def text_of(answer: Any) -> str:
    """The text without tags, with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


@pytest.mark.parametrize("status", Status)
def test_every_state_has_a_page_with_its_headline(status: Status) -> None:
    order = secret_order(status)

    answer = page(order.public_tracking_id)

    assert answer.status_code == 200
    assert cache.fetch(order.public_tracking_id).view["headline"] in text_of(answer)
    assert "Shop by the sea" in text_of(answer)
    assert "+233 30 200 0000" in text_of(answer)


def test_an_order_in_flight_shows_its_eta_and_what_to_have_ready() -> None:
    order = secret_order(Status.ENROUTE, pod_requirement=PodRequirement.OTP)
    expect_in(order, minutes=3.5)

    text = text_of(page(order.public_tracking_id))

    assert "On its way, about 4 minutes" in text
    assert re.search(r"Expected \d\d:\d\d – \d\d:\d\d", text)
    assert re.search(r"Still to fly \d+ m", text)
    assert "Have your six-digit code ready" in text


def test_a_forecast_that_has_passed_is_not_shown_as_a_time() -> None:
    order = secret_order(Status.ENROUTE)
    expect_in(order, minutes=-3)

    text = text_of(page(order.public_tracking_id))

    assert "On its way, any moment now" in text
    assert "Expected" not in text


def test_the_current_step_is_marked() -> None:
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
def test_an_unsuccessful_delivery_has_no_steps_ahead_and_a_contact(
    status: Status, steps: list[tuple[str, str]]
) -> None:
    html = page(secret_order(status).public_tracking_id).content.decode()

    assert re.findall(r'<li class="(\w+)"[^>]*>\s*<span>([^<]+)', html) == steps
    assert 'class="button" href="tel:+233302000000">Contact Shop by the sea' in html


def test_without_an_eta_the_page_shows_the_promised_time() -> None:
    order = secret_order(Status.QUEUED)
    assert re.search(r" Promised by \d+ \w{3}, \d\d:\d\d ", text_of(page(order.public_tracking_id)))

    Order.objects.filter(pk=order.pk).update(deliver_by=timezone.now() - timedelta(minutes=5))
    cache.fetch(order.public_tracking_id, fresh=True)
    text = text_of(page(order.public_tracking_id))
    assert "Delayed: waiting for a drone" in text
    assert "Was promised by" in text


def test_a_delivery_says_when_it_arrived_and_how_it_was_received() -> None:
    text = text_of(page(proved_order().public_tracking_id))

    assert re.search(r"Arrived \d+ \w{3}, \d\d:\d\d Received with A signature", text)


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
def test_the_support_contact_becomes_a_link(text: str, opens: str) -> None:
    assert page_context.contact(text) == opens


def test_screen_readers_announce_the_headline() -> None:
    html = page(secret_order(Status.ENROUTE).public_tracking_id).content.decode()

    assert re.search(r'<div role="status">\s*<h1', html)


@pytest.mark.parametrize("status", Status)
def test_the_page_reloads_until_the_delivery_is_over(status: Status) -> None:
    html = page(secret_order(status).public_tracking_id).content.decode()

    assert ('http-equiv="refresh"' in html) == (status not in TERMINAL)


def test_scripts_are_deferred_and_the_policy_allows_nothing_unsafe() -> None:
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


def test_all_resources_come_from_our_own_server() -> None:
    html = page(secret_order(Status.ENROUTE).public_tracking_id).content.decode()

    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', html)
    assert addresses
    assert all(re.match("/(static|track)/|tel:", address) for address in addresses)


def test_the_id_may_be_typed_with_hyphens_and_without_the_last_slash() -> None:
    tracking_id = secret_order(Status.QUEUED).public_tracking_id
    typed = f"{tracking_id[:4]}-{tracking_id[4:8]}-{tracking_id[8:]}".lower()

    assert page(typed).status_code == 200
    assert Client().get(f"/track/{tracking_id}").status_code == 200


@pytest.mark.parametrize("bad", ["x", "7Q2KM9XW4TZ1U", "a" * 500])
def test_unknown_and_malformed_ids_get_the_same_friendly_page(bad: str) -> None:
    unknown, malformed = page(new_tracking_id()), page(bad)

    assert (unknown.status_code, malformed.status_code) == (404, 404)
    assert unknown.content == malformed.content
    assert "We do not know this delivery" in text_of(unknown)
    assert unknown.headers["Cache-Control"] == "no-store"


def test_an_unchanged_page_is_answered_with_304() -> None:
    tracking_id = secret_order(Status.QUEUED).public_tracking_id
    tag = page(tracking_id).headers["ETag"]

    unchanged = page(tracking_id, **{"If-None-Match": tag})

    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_the_page_takes_as_few_queries_as_the_api(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    tracking_id = secret_order(Status.ENROUTE).public_tracking_id

    with django_assert_max_num_queries(3):
        page(tracking_id)
    with django_assert_max_num_queries(0):
        page(tracking_id)


def test_a_merchants_name_is_escaped() -> None:
    order = secret_order(Status.QUEUED)
    order.merchant.name = "<script>alert(1)</script>"
    order.merchant.save()

    html = page(order.public_tracking_id).content.decode()

    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_too_many_requests_get_a_friendly_page(settings: Settings) -> None:
    settings.API_RATE_LINK_READS = "2/minute"
    tracking_id = secret_order(Status.QUEUED).public_tracking_id

    answers = [page(tracking_id) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) >= 1
    assert "One moment, please" in text_of(answers[2])


def test_without_redis_the_page_is_built_each_time_without_a_position(settings: Settings) -> None:
    tracking_id = secret_order(Status.ENROUTE).public_tracking_id
    assert cache.fetch(tracking_id).view["position"]
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    assert page(tracking_id).status_code == 200
    assert cache.fetch(tracking_id).view["position"] is None


# --- privacy -------------------------------------------------------------------------------------


def all_answers(order: Order) -> str:
    """Bodies and headers of all public URLs of the order, as one text."""
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
def test_no_status_reveals_a_secret_of_the_order(status: Status) -> None:
    order = secret_order(status)

    text = all_answers(order)

    assert [secret for secret in secrets_of(order) if secret in text] == []


def test_a_proof_reveals_no_secret() -> None:
    order = proved_order()

    text = all_answers(order)

    assert [secret for secret in secrets_of(order) if secret in text] == []


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ENROUTE, Status.DELIVERED])
def test_no_page_sets_a_cookie_or_sends_a_referrer(status: Status) -> None:
    headers = page(secret_order(status).public_tracking_id).headers

    assert "Set-Cookie" not in headers
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert headers["Cache-Control"] == "public, max-age=1"

"""`GET /api/v1/tracking/{id}`, and what a customer does there: receive with a code, or sign."""

import json
import re
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from orders import lifecycle
from orders.models import Order
from orders.states import EventType, PodRequirement, Status
from orders.tracking_ids import new_tracking_id
from pod import codes
from pod.models import OneTimeCode, ProofOfDelivery
from tracking.tests.deliveries import STROKES, expect_in, proved_order, secret_order
from wingxtra.accounts.identity import GCS, SYSTEM
from wingxtra.accounts.tests.factories import api_client

pytestmark = pytest.mark.django_db


def get(tracking_id: str, **headers: str) -> Any:
    return api_client().get(f"/api/v1/tracking/{tracking_id}", headers=headers)


def post(order: Order, what: str, body: dict[str, Any], **headers: str) -> Any:
    path = f"/api/v1/tracking/{order.public_tracking_id}/{what}"
    return api_client().post(path, body, format="json", headers=headers)


# --- looking -------------------------------------------------------------------------------------


def test_a_flight_is_told_in_the_shape_of_the_contract() -> None:
    order = secret_order(Status.ENROUTE)
    expect_in(order, minutes=3.5)

    seen = get(order.public_tracking_id)

    assert seen.status_code == 200
    told = seen.json()
    assert list(told) == [
        "public_tracking_id",
        "status",
        "headline",
        "milestones",
        "timeline",
        "custody",
        "eta_seconds",
        "eta_at",
        "position",
        "dropoff",
        "drone",
        "pod_summary",
        "updated_at",
    ]
    assert told["public_tracking_id"] == order.public_tracking_id
    assert (told["status"], told["headline"]) == ("ENROUTE", "On its way, about 4 minutes")
    assert told["milestones"] == ["CREATED", "QUEUED", "ASSIGNED", "LAUNCHED", "ENROUTE"]
    assert 200 < told["eta_seconds"] <= 210
    assert (told["position"]["lat"], told["position"]["lng"]) == (5.6152, -0.1752)
    assert told["position"]["heading_deg"] == 87.0
    assert told["dropoff"] == {"lat": 5.615, "lng": -0.175}
    assert told["drone"] == "masked"
    assert told["pod_summary"] is None


def test_a_proved_delivery_tells_the_method_and_the_time_of_its_proof() -> None:
    told = get(proved_order().public_tracking_id).json()

    assert told["status"] == "DELIVERED"
    assert set(told["pod_summary"]) == {"method", "created_at"}
    assert told["pod_summary"]["method"] == "SIGNATURE"
    assert told["timeline"][-1]["label"] == "Receipt confirmed"


def test_an_id_may_be_typed_in_lower_case_and_with_hyphens() -> None:
    tracking_id = secret_order(Status.QUEUED).public_tracking_id
    typed = f"{tracking_id[:4]}-{tracking_id[4:8]}-{tracking_id[8:]}".lower()

    assert get(typed).json()["public_tracking_id"] == tracking_id


@pytest.mark.parametrize("bad", ["x", "7Q2KM9XW4TZ1U", "a" * 500, "..", "%F0%9F%9A%81"])
def test_unknown_and_malformed_ids_look_the_same(bad: str) -> None:
    def told(answer: Any) -> tuple[Any, ...]:
        body = answer.json() | {"request_id": ""}
        # These count requests, whatever was asked.
        counted = re.compile("X-Request-ID|(X-)?RateLimit-.*")
        headers = {k: v for k, v in answer.headers.items() if not counted.fullmatch(k)}
        return answer.status_code, body, headers

    unknown, malformed = told(get(new_tracking_id())), told(get(bad))

    assert unknown[0] == 404
    assert unknown[1]["code"] == "not_found"
    assert malformed == unknown


def test_who_asks_with_credentials_sees_no_more_and_bad_ones_do_no_harm() -> None:
    order = secret_order(Status.QUEUED)

    assert get(order.public_tracking_id, **{"X-API-Key": "wx_live_wrong"}).status_code == 200


def test_the_headers_keep_it_private_and_let_caches_help() -> None:
    headers = get(secret_order(Status.ENROUTE).public_tracking_id).headers

    assert headers["Cache-Control"] == "public, max-age=3"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "Set-Cookie" not in headers
    assert "Cookie" not in headers.get("Vary", "")
    assert "ETag" in headers


def test_what_is_not_changed_is_not_sent_again() -> None:
    order = secret_order(Status.QUEUED)
    tag = get(order.public_tracking_id).headers["ETag"]

    unchanged = get(order.public_tracking_id, **{"If-None-Match": tag})
    other = get(order.public_tracking_id, **{"If-None-Match": '"other"'})

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == tag
    assert unchanged.headers["Cache-Control"] == "public, max-age=3"
    assert other.status_code == 200


def test_a_waiting_order_keeps_its_tag_from_copy_to_copy(copies_expire: Any) -> None:
    order = secret_order(Status.QUEUED)
    tag = get(order.public_tracking_id).headers["ETag"]
    copies_expire()

    assert get(order.public_tracking_id, **{"If-None-Match": tag}).status_code == 304


def test_for_a_few_seconds_everybody_gets_the_same_copy_without_the_database(
    django_assert_max_num_queries: DjangoAssertNumQueries, copies_expire: Any
) -> None:
    order = secret_order(Status.ENROUTE)
    with django_assert_max_num_queries(3):
        first = get(order.public_tracking_id)
    lifecycle.advance(order.pk, Status.ARRIVED, by=GCS)

    with django_assert_max_num_queries(0):
        second = get(order.public_tracking_id.lower())
    copies_expire()
    third = get(order.public_tracking_id)

    assert second.json() == first.json()
    assert third.json()["status"] == "ARRIVED"


# --- receiving with a code -----------------------------------------------------------------------


def waiting_for_a_code() -> tuple[Order, str]:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    return order, codes.renew(order.pk, by=SYSTEM)


def test_the_right_code_receives_the_parcel_and_the_answer_shows_it_at_once() -> None:
    order, code = waiting_for_a_code()
    assert get(order.public_tracking_id).json()["status"] == "ARRIVED"

    received = post(order, "otp", {"otp_code": code})

    assert received.status_code == 200
    assert (received.json()["status"], received.json()["headline"]) == ("DELIVERED", "Delivered")
    assert received.json()["pod_summary"]["method"] == "OTP"
    assert get(order.public_tracking_id).json() == received.json()
    proof = ProofOfDelivery.objects.get(pk=order.pk)
    assert proof.recorded_by == "customer"


def test_a_second_tap_sees_success_too() -> None:
    order, code = waiting_for_a_code()
    first = post(order, "otp", {"otp_code": code})

    second = post(order, "otp", {"otp_code": code})

    assert (second.status_code, second.json()) == (200, first.json())
    proofs_told = [e for e in order.events.all() if e.type == EventType.PROOF_RECORDED]
    assert len(proofs_told) == 1


def test_a_wrong_code_says_how_many_tries_are_left_and_five_lock_it() -> None:
    order, code = waiting_for_a_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    answers = [post(order, "otp", {"otp_code": wrong}) for _ in range(6)]
    locked = post(order, "otp", {"otp_code": code})

    assert [answer.json().get("tries_left") for answer in answers] == [4, 3, 2, 1, 0, 0]
    assert [answer.status_code for answer in answers] == [400] * 5 + [409]
    assert (locked.status_code, locked.json()["code"]) == (409, "code_locked")
    assert get(order.public_tracking_id).json()["status"] == "ARRIVED"


@pytest.mark.django_db(transaction=True)
def test_a_wrong_code_is_counted_also_under_an_idempotency_key() -> None:
    order, code = waiting_for_a_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    post(order, "otp", {"otp_code": wrong}, **{"Idempotency-Key": "one"})

    assert OneTimeCode.objects.get(pk=order.pk).tries == 1


def test_before_the_drone_is_there_the_code_is_refused_with_the_status() -> None:
    order = secret_order(Status.ENROUTE, pod_requirement=PodRequirement.OTP)

    early = post(order, "otp", {"otp_code": "123456"})

    assert (early.status_code, early.json()["current_status"]) == (409, "ENROUTE")


# --- signing -------------------------------------------------------------------------------------


def test_a_signature_receives_the_parcel_once_however_often_it_is_tapped() -> None:
    order = secret_order(Status.DELIVERING)

    first, second = (post(order, "signature", {"signature": STROKES}) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["pod_summary"]["method"] == "SIGNATURE"
    assert second.json() == first.json()


def test_a_signature_is_no_way_around_a_code() -> None:
    order, _ = waiting_for_a_code()

    answer = post(order, "signature", {"signature": STROKES})

    assert (answer.status_code, answer.json()["code"]) == (409, "signature_not_asked_for")
    assert not ProofOfDelivery.objects.exists()


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "body", "errors"),
    [
        ("otp", {}, {"otp_code": "required"}),
        ("otp", {"otp_code": None}, {"otp_code": "null"}),
        ("otp", {"otp_code": "12345"}, {"otp_code": "invalid"}),
        ("otp", {"otp_code": "123456", "name": "Ama"}, {"name": "unknown_field"}),
        ("signature", {"signature": []}, {"signature": "invalid"}),
        ("signature", {"signature": "data:image/png;base64,"}, {"signature": "invalid"}),
        ("signature", {"signature": [[[1, 1]]]}, {"signature": "nothing_drawn"}),
    ],
)
def test_bad_input_is_named(what: str, body: dict[str, Any], errors: dict[str, str]) -> None:
    needed = {"otp": PodRequirement.OTP, "signature": PodRequirement.SIGNATURE}[what]
    order = secret_order(Status.ARRIVED, pod_requirement=needed)

    answer = post(order, what, body)

    assert answer.status_code == 400
    assert {error["field"]: error["code"] for error in answer.json()["errors"]} == errors


@pytest.mark.parametrize("what", ["otp", "signature"])
def test_an_unknown_link_receives_nothing(what: str) -> None:
    path = f"/api/v1/tracking/{new_tracking_id()}/{what}"

    answer = api_client().post(path, {"otp_code": "123456", "signature": STROKES}, format="json")

    assert (answer.status_code, json.loads(answer.content)["code"]) == (404, "not_found")

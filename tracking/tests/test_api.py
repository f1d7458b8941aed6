"""`GET /api/v1/tracking/{id}`, and receiving with a code or a signature."""

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


# --- reading -------------------------------------------------------------------------------------


def test_an_order_in_flight_has_the_shape_of_the_contract() -> None:
    order = secret_order(Status.ENROUTE)
    expect_in(order, minutes=3.5)

    answer = get(order.public_tracking_id)

    assert answer.status_code == 200
    shown = answer.json()
    assert list(shown) == [
        "public_tracking_id",
        "external_id",
        "status",
        "headline",
        "milestones",
        "timeline",
        "custody",
        "queue",
        "eta_range",
        "eta_seconds",
        "eta_at",
        "opens_at",
        "position",
        "dropoff",
        "drone",
        "pod_summary",
        "updated_at",
    ]
    assert shown["public_tracking_id"] == order.public_tracking_id
    assert (shown["status"], shown["headline"]) == ("ENROUTE", "On its way, about 4 minutes")
    assert shown["milestones"] == ["CREATED", "QUEUED", "ASSIGNED", "LAUNCHED", "ENROUTE"]
    assert 200 < shown["eta_seconds"] <= 210
    assert (shown["position"]["lat"], shown["position"]["lng"]) == (5.615, -0.175)  # at the door
    assert shown["position"]["heading_deg"] == 87.0
    assert shown["dropoff"] == {"lat": 5.615, "lng": -0.175}
    assert shown["drone"] == "masked"
    assert shown["pod_summary"] is None


def test_a_delivery_with_proof_shows_its_method_and_time() -> None:
    shown = get(proved_order().public_tracking_id).json()

    assert shown["status"] == "DELIVERED"
    assert set(shown["pod_summary"]) == {"method", "created_at"}
    assert shown["pod_summary"]["method"] == "SIGNATURE"
    assert shown["timeline"][-1]["label"] == "Receipt confirmed"


def test_an_id_may_be_typed_in_lower_case_and_with_hyphens() -> None:
    tracking_id = secret_order(Status.QUEUED).public_tracking_id
    typed = f"{tracking_id[:4]}-{tracking_id[4:8]}-{tracking_id[8:]}".lower()

    assert get(typed).json()["public_tracking_id"] == tracking_id


@pytest.mark.parametrize("bad", ["x", "7Q2KM9XW4TZ1U", "a" * 500, "..", "%F0%9F%9A%81"])
def test_unknown_and_malformed_ids_look_the_same(bad: str) -> None:
    def comparable(answer: Any) -> tuple[Any, ...]:
        body = answer.json() | {"request_id": ""}
        # These differ between any two requests.
        varying = re.compile("X-Request-ID|(X-)?RateLimit-.*")
        headers = {k: v for k, v in answer.headers.items() if not varying.fullmatch(k)}
        return answer.status_code, body, headers

    unknown, malformed = comparable(get(new_tracking_id())), comparable(get(bad))

    assert unknown[0] == 404
    assert unknown[1]["code"] == "not_found"
    assert malformed == unknown


def test_bad_credentials_are_ignored() -> None:
    order = secret_order(Status.QUEUED)

    assert get(order.public_tracking_id, **{"X-API-Key": "wx_live_wrong"}).status_code == 200


def test_headers_allow_short_caching_and_prevent_indexing() -> None:
    headers = get(secret_order(Status.ENROUTE).public_tracking_id).headers

    assert headers["Cache-Control"] == "public, max-age=1"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "Set-Cookie" not in headers
    assert "Cookie" not in headers.get("Vary", "")
    assert "ETag" in headers


def test_an_unchanged_delivery_is_answered_with_304() -> None:
    order = secret_order(Status.QUEUED)
    tag = get(order.public_tracking_id).headers["ETag"]

    unchanged = get(order.public_tracking_id, **{"If-None-Match": tag})
    other = get(order.public_tracking_id, **{"If-None-Match": '"other"'})

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == tag
    assert unchanged.headers["Cache-Control"] == "public, max-age=1"
    assert other.status_code == 200


def test_the_etag_is_the_same_after_the_cache_expires(copies_expire: Any) -> None:
    order = secret_order(Status.QUEUED)
    tag = get(order.public_tracking_id).headers["ETag"]
    copies_expire()

    assert get(order.public_tracking_id, **{"If-None-Match": tag}).status_code == 304


def test_for_a_few_seconds_all_requests_get_the_cached_copy_without_a_query(
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


def test_the_right_code_delivers_the_order_and_the_answer_is_fresh() -> None:
    order, code = waiting_for_a_code()
    assert get(order.public_tracking_id).json()["status"] == "ARRIVED"

    received = post(order, "otp", {"otp_code": code})

    assert received.status_code == 200
    assert (received.json()["status"], received.json()["headline"]) == ("DELIVERED", "Delivered")
    assert received.json()["pod_summary"]["method"] == "OTP"
    assert get(order.public_tracking_id).json() == received.json()
    proof = ProofOfDelivery.objects.get(pk=order.pk)
    assert proof.recorded_by == "customer"


def test_a_right_code_sent_twice_succeeds_twice_and_records_one_proof() -> None:
    order, code = waiting_for_a_code()
    first = post(order, "otp", {"otp_code": code})

    second = post(order, "otp", {"otp_code": code})

    assert (second.status_code, second.json()) == (200, first.json())
    proofs = [e for e in order.events.all() if e.type == EventType.PROOF_RECORDED]
    assert len(proofs) == 1


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
def test_a_wrong_code_counts_even_with_an_idempotency_key() -> None:
    order, code = waiting_for_a_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    post(order, "otp", {"otp_code": wrong}, **{"Idempotency-Key": "one"})

    assert OneTimeCode.objects.get(pk=order.pk).tries == 1


def test_a_code_before_arrival_is_refused_with_the_current_status() -> None:
    order = secret_order(Status.ENROUTE, pod_requirement=PodRequirement.OTP)

    early = post(order, "otp", {"otp_code": "123456"})

    assert (early.status_code, early.json()["current_status"]) == (409, "ENROUTE")


# --- signing -------------------------------------------------------------------------------------


def test_a_signature_sent_twice_records_one_proof() -> None:
    order = secret_order(Status.DELIVERING)

    first, second = (post(order, "signature", {"signature": STROKES}) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["pod_summary"]["method"] == "SIGNATURE"
    assert second.json() == first.json()


def test_a_signature_cannot_replace_a_code() -> None:
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
def test_bad_input_is_refused_with_field_and_code(
    what: str, body: dict[str, Any], errors: dict[str, str]
) -> None:
    needed = {"otp": PodRequirement.OTP, "signature": PodRequirement.SIGNATURE}[what]
    order = secret_order(Status.ARRIVED, pod_requirement=needed)

    answer = post(order, what, body)

    assert answer.status_code == 400
    assert {error["field"]: error["code"] for error in answer.json()["errors"]} == errors


@pytest.mark.parametrize("what", ["otp", "signature"])
def test_an_unknown_link_is_not_found(what: str) -> None:
    path = f"/api/v1/tracking/{new_tracking_id()}/{what}"

    answer = api_client().post(path, {"otp_code": "123456", "signature": STROKES}, format="json")

    assert (answer.status_code, json.loads(answer.content)["code"]) == (404, "not_found")

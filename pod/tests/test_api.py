"""`/orders/{id}/pod` and the links to pictures: permissions, accepted and refused input."""

import uuid
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import order_in
from pod import codes, proofs, testmode
from pod.models import METHODS, OneTimeCode, ProofOfDelivery
from pod.serializers import ProofInput
from wingxtra.accounts.identity import CUSTOMER, SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client

pytestmark = pytest.mark.django_db

STROKES = [[[0, 0], [30, 20.5], [60, 5]]]
CONFIRMATION = {"method": "OPERATOR_CONFIRM", "operator_name": "Kofi"}


@pytest.fixture
def ops() -> APIClient:
    return api_client(UserFactory(ops=True))


def merchant_of(order: Order) -> APIClient:
    return api_client(UserFactory(merchant=order.merchant))


def pod(order: Order) -> str:
    return f"/api/v1/orders/{order.pk}/pod"


def upload(kind: str = "JPEG", name: str = "door.jpg") -> SimpleUploadedFile:
    out = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, kind)
    return SimpleUploadedFile(name, out.getvalue())


def send(client: APIClient, order: Order, form: dict[str, Any]) -> Any:
    return client.post(pod(order), form, format="multipart")


def errors_of(answer: Any) -> dict[str, str]:
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    return {error["field"]: error["code"] for error in answer.json()["errors"]}


# --- GET -----------------------------------------------------------------------------------------


def test_without_a_proof_everything_is_null(ops: APIClient) -> None:
    order = order_in(Status.QUEUED)

    assert ops.get(pod(order)).json() == {
        "order_id": str(order.pk),
        "method": None,
        "confirmed_by": None,
        "photo_url": None,
        "created_at": None,
    }


def test_the_merchant_sees_the_proof_of_an_order_of_its_own(
    ops: APIClient, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    order = order_in(Status.ARRIVED)
    given = ops.post(pod(order), CONFIRMATION, format="json")
    client = merchant_of(order)

    with django_assert_max_num_queries(1):
        seen = client.get(pod(order))

    assert given.status_code == 201
    assert seen.json() == given.json()
    assert seen.json() | {"created_at": ""} == {
        "order_id": str(order.pk),
        "method": "OPERATOR_CONFIRM",
        "confirmed_by": "Kofi",
        "photo_url": None,
        "created_at": "",
    }
    assert seen.json()["created_at"].endswith("Z")


def test_other_merchants_unknown_and_malformed_orders_are_not_found() -> None:
    order = order_in(Status.ARRIVED)
    stranger = api_client(UserFactory(merchant=MerchantFactory()))

    for path in (pod(order), f"/api/v1/orders/{uuid.uuid4()}/pod", "/api/v1/orders/1/pod"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_without_credentials_reading_and_writing_get_a_401() -> None:
    order = order_in(Status.ARRIVED)

    assert api_client().get(pod(order)).status_code == 401
    assert api_client().post(pod(order), CONFIRMATION, format="json").status_code == 401


# --- POST ----------------------------------------------------------------------------------------


def test_a_merchant_cannot_give_a_proof() -> None:
    order = order_in(Status.ARRIVED)

    answer = merchant_of(order).post(pod(order), CONFIRMATION, format="json")

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert not ProofOfDelivery.objects.exists()


@pytest.mark.parametrize("name", ["operator_name", "confirmed_by"])
@pytest.mark.parametrize("role", ["ops", "admin"])
def test_staff_confirm_by_name_and_the_order_is_delivered(role: str, name: str) -> None:
    order = order_in(Status.ARRIVED)
    client = api_client(UserFactory(**{role: True}))
    body = {"method": "OPERATOR_CONFIRM", name: " Kofi ", "note": "Seen", "metadata": {"a": [1]}}

    answer = client.post(pod(order), body, format="json")

    assert (answer.status_code, answer.json()["confirmed_by"]) == (201, "Kofi")
    proof = ProofOfDelivery.objects.get(pk=order.pk)
    assert (proof.note, proof.metadata) == ("Seen", {"a": [1]})
    assert Order.objects.get(pk=order.pk).status == Status.DELIVERED


def test_the_same_proof_again_is_answered_200_and_another_409(ops: APIClient) -> None:
    order = order_in(Status.ARRIVED)
    first = ops.post(pod(order), CONFIRMATION, format="json")

    same = ops.post(pod(order), CONFIRMATION, format="json")
    other = ops.post(pod(order), CONFIRMATION | {"operator_name": "Esi"}, format="json")

    assert (same.status_code, same.json()) == (200, first.json())
    assert (other.status_code, other.json()["code"]) == (409, "proof_exists")
    assert other.json()["proof"]["method"] == "OPERATOR_CONFIRM"
    assert other.json()["current_status"] == "DELIVERED"


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ENROUTE, Status.CANCELED])
def test_a_proof_before_the_drone_is_there_is_a_409_with_the_status(
    ops: APIClient, status: Status
) -> None:
    order = order_in(status)

    answer = ops.post(pod(order), CONFIRMATION, format="json")

    assert (answer.status_code, answer.json()["current_status"]) == (409, status)


def test_an_unknown_order_is_a_404(ops: APIClient) -> None:
    answer = ops.post(f"/api/v1/orders/{uuid.uuid4()}/pod", CONFIRMATION, format="json")

    assert answer.status_code == 404


def test_ops_can_enter_the_code_of_the_recipient(ops: APIClient) -> None:
    order = order_in(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)

    answer = ops.post(pod(order), {"method": "OTP", "otp_code": code}, format="json")

    assert (answer.status_code, answer.json()["method"]) == (201, "OTP")


@pytest.mark.django_db(transaction=True)
def test_a_wrong_code_is_counted_once_per_idempotency_key(
    ops: APIClient,
) -> None:
    order = order_in(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    wrong = f"{(int(codes.renew(order.pk, by=SYSTEM)) + 1) % 1_000_000:06d}"

    def attempt(key: str) -> Any:
        body = {"method": "OTP", "otp_code": wrong}
        return ops.post(pod(order), body, format="json", headers={"Idempotency-Key": key})

    first, repeated, second = attempt("a"), attempt("a"), attempt("b")

    assert (first.status_code, first.json()["code"]) == (400, "wrong_code")
    assert (first.json()["tries_left"], second.json()["tries_left"]) == (4, 3)
    assert repeated.json() == first.json()
    assert OneTimeCode.objects.get(pk=order.pk).tries == 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_uploaded_and_shown_behind_a_link(ops: APIClient, kind: str) -> None:
    order = order_in(Status.ARRIVED)

    answer = send(ops, order, {"method": "PHOTO", "photo": upload(kind), "metadata": '{"a": 1}'})

    assert answer.status_code == 201, answer.content
    url = answer.json()["photo_url"]
    assert url.startswith(f"{settings.PUBLIC_BASE_URL}/api/v1/pod-images/")
    shown = api_client().get(
        url.removeprefix(settings.PUBLIC_BASE_URL), headers={"Accept": "image/*"}
    )
    assert shown.status_code == 200
    assert shown.headers["Content-Type"] == "image/jpeg"
    assert shown.headers["Cache-Control"] == "private, no-store"
    assert Image.open(BytesIO(b"".join(shown.streaming_content))).size == (40, 30)
    assert ProofOfDelivery.objects.get(pk=order.pk).metadata == {"a": 1}


def test_the_url_of_a_linked_photo_is_returned_unchanged(ops: APIClient) -> None:
    order = order_in(Status.ARRIVED)
    body = {"method": "PHOTO", "photo_url": "https://photos.example/1.jpg", "otp_code": None}

    answer = ops.post(pod(order), body, format="json")

    assert (answer.status_code, answer.json()["photo_url"]) == (201, body["photo_url"])


def test_a_signature_is_drawn_or_uploaded(ops: APIClient) -> None:
    drawn, uploaded = order_in(Status.ARRIVED), order_in(Status.ARRIVED)

    by_hand = ops.post(pod(drawn), {"method": "SIGNATURE", "signature": STROKES}, format="json")
    as_file = send(ops, uploaded, {"method": "SIGNATURE", "signature": upload("PNG", "s.png")})

    assert (by_hand.status_code, as_file.status_code) == (201, 201)
    assert ProofOfDelivery.objects.get(pk=drawn.pk).strokes == STROKES


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"method": "required"}),
        ({"method": "SMILE"}, {"method": "invalid_choice"}),
        ({"method": "OPERATOR_CONFIRM"}, {"operator_name": "required"}),
        ({"method": "OPERATOR_CONFIRM", "operator_name": "  "}, {"operator_name": "required"}),
        (
            CONFIRMATION | {"operator_name": "x" * 121},
            {"operator_name": "max_length"},
        ),
        (
            {"method": "OPERATOR_CONFIRM", "operator_name": "Kofi", "confirmed_by": "Esi"},
            {"confirmed_by": "ambiguous"},
        ),
        (CONFIRMATION | {"otp_code": "123456"}, {"otp_code": "not_for_this_method"}),
        (CONFIRMATION | {"smile": 1}, {"smile": "unknown_field"}),
        (CONFIRMATION | {"metadata": [1]}, {"metadata": "invalid"}),
        (CONFIRMATION | {"metadata": {"a": "\0"}}, {"metadata": "invalid"}),
        (CONFIRMATION | {"metadata": {"a": "x" * 5000}}, {"metadata": "too_long"}),
        (CONFIRMATION | {"note": "\0"}, {"note": "null_characters_not_allowed"}),
        ({"method": "OTP"}, {"otp_code": "required"}),
        ({"method": "OTP", "otp_code": 123456}, {"otp_code": "invalid"}),
        ({"method": "OTP", "otp_code": "12"}, {"otp_code": "invalid"}),
        ({"method": "PHOTO"}, {"photo": "required"}),
        ({"method": "PHOTO", "photo": "data"}, {"photo": "invalid"}),
        ({"method": "PHOTO", "photo_url": "http://photos.example/1"}, {"photo_url": "not_https"}),
        (
            {"method": "PHOTO", "photo_url": "https://a:b@photos.test/"},
            {"photo_url": "not_https"},
        ),
        ({"method": "PHOTO", "photo_url": "javascript:alert(1)"}, {"photo_url": "invalid"}),
        ({"method": "PHOTO", "photo_url": 1}, {"photo_url": "invalid"}),
        ({"method": "SIGNATURE"}, {"signature": "required"}),
        ({"method": "SIGNATURE", "signature": "me"}, {"signature": "invalid"}),
        ({"method": "SIGNATURE", "signature": [[]]}, {"signature": "invalid"}),
        ({"method": "SIGNATURE", "signature": [[[1, 2, 3]]]}, {"signature": "invalid"}),
        ({"method": "SIGNATURE", "signature": [[[1, "2"]]]}, {"signature": "invalid"}),
        ({"method": "SIGNATURE", "signature": [[[1, True]]]}, {"signature": "invalid"}),
        ({"method": "SIGNATURE", "signature": [[[1, 1e300]]]}, {"signature": "invalid"}),
        ({"method": "SIGNATURE", "signature": [[[1, 2]]]}, {"signature": "nothing_drawn"}),
        ({"method": "SIGNATURE", "signature": [[[1, 2]]] * 201}, {"signature": "too_long"}),
    ],
)
def test_bad_input_is_reported_and_writes_nothing(
    ops: APIClient, body: dict[str, Any], errors: dict[str, str]
) -> None:
    order = order_in(Status.ARRIVED, pod_requirement=PodRequirement.OTP)

    assert errors_of(ops.post(pod(order), body, format="json")) == errors
    assert not ProofOfDelivery.objects.exists()
    assert OneTimeCode.objects.get(pk=order.pk).tries == 0


@pytest.mark.parametrize(
    ("form", "errors"),
    [
        (
            {"method": "PHOTO", "photo": SimpleUploadedFile("door.jpg", b"%PDF-1.7")},
            {"photo": "not_an_image"},
        ),
        (
            {"method": "PHOTO", "photo": SimpleUploadedFile("door.jpg", b"")},
            {"photo": "not_an_image"},
        ),
        (
            {"method": "SIGNATURE", "signature": SimpleUploadedFile("s.png", b"GIF89a")},
            {"signature": "not_an_image"},
        ),
        ({"method": "SIGNATURE", "signature": "[[[1,2],[3,4]]]"}, {"signature": "invalid"}),
        (CONFIRMATION | {"metadata": "[" * 5000}, {"metadata": "invalid"}),
    ],
)
def test_bad_forms_are_reported_and_write_nothing(
    ops: APIClient, form: dict[str, Any], errors: dict[str, str]
) -> None:
    order = order_in(Status.ARRIVED)

    assert errors_of(send(ops, order, form)) == errors
    assert not ProofOfDelivery.objects.exists()


def test_a_file_over_the_limit_is_a_413(ops: APIClient) -> None:
    order = order_in(Status.ARRIVED)
    large = SimpleUploadedFile("door.jpg", bytes(9 * 2**20))

    answer = send(ops, order, {"method": "PHOTO", "photo": large})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_another_kind_of_body_is_a_415(ops: APIClient) -> None:
    answer = ops.post(pod(order_in(Status.ARRIVED)), "method=OTP", content_type="text/plain")

    assert answer.status_code == 415


# --- the link to a picture -----------------------------------------------------------------------


def image_path(order: Order) -> str:
    drawn = proofs.Evidence.drawn_signature(STROKES)
    proof = proofs.record(order.pk, drawn, by=CUSTOMER).proof
    return f"/api/v1/pod-images/{proofs.image_token(proof)}"


def test_a_link_expires_after_five_minutes() -> None:
    path = image_path(order_in(Status.ARRIVED))
    made = timezone.now()

    with time_machine.travel(made + timedelta(seconds=290), tick=False):
        in_time = api_client().get(path)
        in_time.close()
    with time_machine.travel(made + timedelta(seconds=305), tick=False):
        late = api_client().get(path)

    assert (in_time.status_code, in_time.headers["Content-Type"]) == (200, "image/svg+xml")
    assert (late.status_code, late.json()["code"]) == (404, "link_expired")


def test_a_forged_link_gets_the_same_answer_as_an_expired_one() -> None:
    path = image_path(order_in(Status.ARRIVED))

    for forged in (path[:-1] + ("A" if path[-1] != "A" else "B"), "/api/v1/pod-images/x"):
        assert api_client().get(forged).json()["code"] == "link_expired"


def test_pictures_have_no_other_url() -> None:
    order = order_in(Status.ARRIVED)
    photo = proofs.Evidence.photo(testmode.sample())
    proofs.record(order.pk, photo, by=CUSTOMER)
    name = ProofOfDelivery.objects.get(pk=order.pk).image.name

    for path in (f"/media/{name}", f"/{name}", f"/static/{name}"):
        assert api_client().get(path).status_code == 404


def test_every_method_of_proof_names_its_evidence() -> None:
    assert set(ProofInput.EVIDENCE) == set(METHODS)

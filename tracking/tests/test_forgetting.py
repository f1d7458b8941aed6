"""Forgetting leaves no personal data: the tests search every column and every stored file."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from PIL import Image

from dispatch.missions.flight.state import Fix, FlightState
from dispatch.models import Flight
from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders import lifecycle
from orders.models import Order
from orders.personal_data import retention
from orders.states import CancelReason, PodRequirement, Status
from orders.tests.factories import order_in
from pod import cases, codes, proofs
from pod.models import Case, ProofOfDelivery
from tracking.tests.receiver import WebhookFactory
from wingxtra.accounts.identity import CUSTOMER, SYSTEM
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory, api_client
from wingxtra.problems import Conflict

pytestmark = pytest.mark.django_db

LAT, LNG = 5.6151847362, -0.1751952847
GIVEN_LAT, GIVEN_LNG = 5.6153914785, -0.1748163952
CUSTOMER_S = {
    "customer_name": "Adwoa Boatengmaa",
    "customer_phone": "+233209876543",
    "customer_email": "adwoa.b@secret.example",
    "dropoff_address": "12 Kanda Highway",
    "dropoff_instructions": "Ring at Esi's",
    "metadata": {"gift_for": "Grandmother Akua"},
}
ABOUT = {
    "confirmed_by": "Yaa Asantewaa",
    "note": "Behind the blue gate",
    "metadata": {"phone": "Nokia of Yaa"},
}
STROKES = [[[0.0, 0.0], [31.41592, 27.18281], [60.0, 5.0]]]
SECRETS = [
    "Adwoa",
    "Boatengmaa",
    "209876543",
    "secret.example",
    "5.61518",
    "0.17519",
    "5.61539",
    "0.17481",
    "Asantewaa",
    "blue gate",
    "Nokia",
    "31.41592",
    "photos.example",
    "dog bites",
    "Kanda",
    "Ring at Esi",
    "Akua",
    "mango tree",
    "Uncle Ebo",
]


def tables_with(text: str) -> list[str]:
    """The names of the tables with a row that contains this text in any column."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        found = []
        for table in tables:
            name = connection.ops.quote_name(table)
            cursor.execute(
                f"SELECT EXISTS (SELECT FROM {name} AS r WHERE r::text ILIKE %s)", [f"%{text}%"]
            )
            found += [table] * cursor.fetchone()[0]
    return found


def photo() -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, "JPEG")
    return out.getvalue()


def order_of(requirement: PodRequirement, status: Status = Status.ARRIVED, **more: Any) -> Order:
    return order_in(
        status,
        merchant=more.pop("merchant", None) or MerchantFactory(),
        pod_requirement=requirement,
        dropoff_lat=LAT,
        dropoff_lng=LNG,
        **CUSTOMER_S,
        **more,
    )


def signed(**more: Any) -> Order:
    """Signed with the drone over the door. The customer had moved the drop point there."""
    order = order_of(
        PodRequirement.SIGNATURE,
        drone=DroneFactory(drone_id="WX-FORGET-1"),
        given_lat=GIVEN_LAT,
        given_lng=GIVEN_LNG,
        **more,
    )
    job = lifecycle.job_of(order)
    now = timezone.now()
    fix = Fix(at=now.timestamp(), lat=LAT, lng=LNG, alt_m=8.0, speed_mps=0.0, armed=True)
    state = FlightState(fix=fix).to_dict()
    Flight.objects.create(job=job, state=state, heard_at=now)
    show(TelemetryFactory(drone_id="WX-FORGET-1", lat=LAT, lng=LNG))
    signature = proofs.Evidence.drawn_signature(STROKES, **ABOUT)
    proofs.record(order.pk, signature, by=CUSTOMER)
    return order


def all_kinds_of_orders() -> list[Order]:
    merchant = MerchantFactory()
    WebhookFactory(merchant=merchant)
    with_signature = signed(merchant=merchant)
    with_code = order_of(PodRequirement.OTP)
    code = proofs.Evidence.code(codes.renew(with_code.pk, by=SYSTEM), **ABOUT)
    proofs.record(with_code.pk, code, by=CUSTOMER)
    with_photo = order_of(PodRequirement.PHOTO)
    elsewhere = proofs.Evidence.linked_photo("https://photos.example/1.jpg", **ABOUT)
    proofs.record(with_photo.pk, elsewhere, by=CUSTOMER)
    with_file = order_of(PodRequirement.PHOTO)
    proofs.record(with_file.pk, proofs.Evidence.photo(photo(), **ABOUT), by=SYSTEM)
    confirmed = order_of(PodRequirement.OPERATOR_CONFIRM)
    word = proofs.Evidence.confirmation("Yaa Asantewaa", note=ABOUT["note"])
    proofs.record(confirmed.pk, word, by=SYSTEM)
    told = cases.Complaint(Case.Kind.DAMAGED, "Wet beside the mango tree", photo())
    cases.open_case(confirmed.pk, told, by=CUSTOMER)
    case = Case.objects.get()
    cases.close(case.pk, Case.Outcome.FOUND, answer="Ask Uncle Ebo.", by=SYSTEM)
    canceled = order_of(PodRequirement.NONE, Status.MISSION_SUBMITTED)
    lifecycle.cancel(
        canceled.pk, by=SYSTEM, reason=CancelReason.ADDRESS_PROBLEM, note="Adwoa's dog bites."
    )
    failed = order_of(PodRequirement.NONE, Status.FAILED)
    return [with_signature, with_code, with_photo, with_file, confirmed, canceled, failed]


def test_nothing_personal_is_left_in_the_database_or_among_the_files(media: Path):
    orders = all_kinds_of_orders()
    # Control: the search finds each secret before forgetting.
    assert [secret for secret in SECRETS if not tables_with(secret)] == []
    assert [file for file in media.rglob("*") if file.is_file()]

    for order in orders:
        assert retention.forget(order.pk)

    left = {secret: tables for secret in SECRETS if (tables := tables_with(secret))}
    assert left == {}
    assert [file for file in media.rglob("*") if file.is_file()] == []


def test_the_method_of_the_proof_is_kept():
    order = signed()
    retention.forget(order.pk)
    proof = ProofOfDelivery.objects.get(pk=order.pk)
    assert (proof.method, proof.drone_distance_m) == ("SIGNATURE", 0)
    client = api_client(UserFactory(merchant=order.merchant))
    assert client.get(f"/api/v1/orders/{order.pk}/pod").json()["method"] == "SIGNATURE"
    record = client.get(f"/api/v1/orders/{order.pk}/record")
    assert "Personal data was removed from this record" in record.content.decode()
    answer = client.get(f"/api/v1/orders/{order.pk}").json()
    assert answer["customer_name"] is answer["customer_phone"] is None


def test_no_proof_can_be_added_after_forgetting():
    order = order_of(PodRequirement.PHOTO, Status.DELIVERED)
    retention.forget(order.pk)
    with pytest.raises(Conflict) as refusal:
        proofs.record(order.pk, proofs.Evidence.confirmation("Yaa Asantewaa"), by=SYSTEM)
    assert refusal.value.code == "customer_forgotten"


def test_other_customers_keep_their_data():
    forgotten, other = signed(), order_of(PodRequirement.NONE, Status.DELIVERED)
    retention.forget(forgotten.pk)
    assert tables_with("209876543") == ["orders_order"]
    assert Order.objects.get(pk=other.pk).dropoff_lat == LAT


def test_the_customers_page_only_says_that_it_is_over():
    order = order_of(PodRequirement.OTP, Status.DELIVERED)
    retention.forget(order.pk)
    answer = Client().get(f"/track/{order.public_tracking_id}/")
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "This delivery is over" in html
    assert not any(text in html for text in ("Received", "Everything so far", "otp_code"))

"""The printable record of a delivery: its readers and its content."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders.models import Order
from orders.states import PodRequirement, Status
from orders.tests.factories import order_in
from pod import proofs, testmode
from pod.pictures import sketch
from wingxtra.accounts.identity import Actor, ActorKind, Role
from wingxtra.accounts.tests.factories import (
    MerchantFactory,
    UserFactory,
    api_client,
)

STROKES = [[[0.0, 0.0], [30.0, 20.0], [60.0, 5.0]]]
DRONE_ID = "WX-RECORD-1"


def signed_order() -> Order:
    order = order_in(
        Status.ARRIVED,
        drone=DroneFactory(drone_id=DRONE_ID),
        merchant=MerchantFactory(name="Shop <by> the sea"),
        external_id="REF-4711",
        pod_requirement=PodRequirement.SIGNATURE,
    )
    show(TelemetryFactory(drone_id=DRONE_ID, lat=order.dropoff_lat, lng=order.dropoff_lng))
    signature = proofs.Evidence.drawn_signature(STROKES, confirmed_by="Kofi")
    proofs.record(order.pk, signature, by=Actor(ActorKind.USER, "operator-efua"))
    return order


def url(order: Order) -> str:
    return f"/api/v1/orders/{order.pk}/record"


def page(client: Any, order: Order) -> str:
    answer = client.get(url(order))
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/html")
    return answer.content.decode()


@pytest.mark.django_db
def test_a_merchant_reads_order_timeline_and_proof_on_one_page():
    order = signed_order()
    found = page(api_client(UserFactory(merchant=order.merchant)), order)
    for text in (
        order.public_tracking_id,
        "REF-4711",
        "Shop &lt;by&gt; the sea",
        "+233241234567",
        "Signature",
        "Kofi",
        "0.0 m from the drop point",
        "Order placed",
        "Proof recorded",
        "<svg",
    ):
        assert text in found
    picture = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', found)
    assert picture
    assert base64.b64decode(picture[1]).startswith(b"<svg")
    # Merchants see neither staff nor drones.
    assert DRONE_ID not in found
    assert "operator-efua" not in found


@pytest.mark.django_db
def test_staff_see_who_did_what():
    found = page(api_client(UserFactory(ops=True)), signed_order())
    assert "operator-efua" in found


@pytest.mark.django_db
def test_staff_open_the_record_from_the_console():
    user, order = UserFactory(ops=True), signed_order()
    client = Client()
    client.force_login(user, backend="wingxtra.console.roles.RoleBackend")
    assert order.public_tracking_id in page(client, order)


@pytest.mark.django_db
def test_other_callers_cannot_read_the_record():
    order = signed_order()
    assert api_client().get(url(order)).status_code == 401
    assert api_client(UserFactory(merchant=MerchantFactory())).get(url(order)).status_code == 404


@pytest.mark.django_db
def test_the_record_loads_nothing_and_is_not_cached():
    order = signed_order()
    answer = api_client(UserFactory(ops=True)).get(url(order))
    assert answer["Cache-Control"] == "private, no-store"
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    links = re.findall(r'(?:src|href)="(?!data:)([^"]*)"', answer.content.decode())
    assert links == []


@pytest.mark.django_db
def test_a_missing_picture_is_reported_on_the_record(media: Path):
    order = order_in(Status.ARRIVED)
    photo = proofs.Evidence.photo(testmode.sample())
    proofs.record(order.pk, photo, by=Actor(ActorKind.USER, "operator-efua"))
    (stored,) = media.glob("proofs/*")
    stored.unlink()
    assert "not in the storage any more" in page(api_client(UserFactory(ops=True)), order)


@pytest.mark.django_db
def test_an_order_without_proof_has_a_record():
    order = order_in(Status.CANCELED, pod_requirement=PodRequirement.PHOTO)
    found = page(api_client(UserFactory(ops=True)), order)
    assert "None. This order needs: photo." in found
    assert "Other" in found


# --- the map -------------------------------------------------------------------------------------

lats, lngs = st.floats(-80, 80), st.floats(-179, 179)


@given(lats, lngs, st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_every_place_is_inside_and_the_scale_bar_is_right(lat, lng, up, right):
    places = [
        sketch.Place("here", "pickup", lat, lng),
        sketch.Place("there", "drop", lat + up, lng + right),
    ]
    found = sketch.drawn(places)
    for mark in found.marks:
        assert 0 <= mark.x <= found.width
        assert 0 <= mark.y <= found.height
    assert 0 < found.bar_px <= sketch.MAX_BAR_PX
    assert str(found.bar_m).strip("0") in ("1", "2", "5")


def test_north_is_up_and_east_is_right():
    places = [
        sketch.Place("south west", "pickup", 5.60, -0.18),
        sketch.Place("north east", "drop", 5.61, -0.17),
    ]
    first, second = sketch.drawn(places).marks
    assert second.x > first.x
    assert second.y < first.y


# --- in the console ------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "in_full"), [(Role.OPS, True), (Role.READONLY, False)])
def test_names_in_a_proof_need_the_permission_for_personal_data(role: Role, in_full: bool):
    order = signed_order()
    client = Client()
    user = UserFactory(role=role, is_staff=True)
    client.force_login(user, backend="wingxtra.console.roles.RoleBackend")
    for address in (
        reverse("admin:pod_proofofdelivery_change", args=[order.pk]),
        reverse("admin:pod_proofofdelivery_changelist"),
        reverse("admin:orders_order_change", args=[order.pk]),
    ):
        answer = client.get(address)
        assert answer.status_code == 200
        is_list = address.endswith("proofofdelivery/")
        assert ("Kofi" in answer.content.decode()) == (in_full and not is_list)

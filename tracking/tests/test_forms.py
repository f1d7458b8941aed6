"""What a customer does on the page without a script: the same verbs, by plain forms."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fleet import policy
from fleet.feasibility.geometry import distance_m
from fleet.tests.factories import METRE_DEG, DroneFactory, NoFlyZoneFactory, square
from orders import lifecycle, placement
from orders.models import Order
from orders.states import DropoffSource, EventType, PodRequirement, Status
from orders.tests.factories import order_in
from pod import codes
from pod.models import OneTimeCode, ProofOfDelivery
from tracking.page import cache
from tracking.tests.deliveries import LAT, LNG, STROKES, secret_order
from wingxtra.accounts.identity import GCS, SYSTEM
from wingxtra.accounts.tests.factories import api_client

pytestmark = pytest.mark.django_db


def path(order: Order) -> str:
    return f"/track/{order.public_tracking_id}/"


def form_of(html: str) -> dict[str, str]:
    """The hidden fields of the page's form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html))


def send(order: Order, query: str = "", **fields: Any) -> Any:
    """Open the page, fill its form in, send it."""
    client = Client()
    form = form_of(client.get(path(order)).content.decode()) | fields
    return client.post(path(order) + query, form)


def told(answer: Any) -> str:
    found = re.search(r'class="told \w+"[^>]*>([^<]*)', answer.content.decode())
    return found[1] if found else ""


def fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


# --- receiving -----------------------------------------------------------------------------------


def test_the_right_code_is_answered_by_a_page_that_says_thank_you() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)

    sent = send(order, otp_code=f"{code[:3]} {code[3:]}")
    then = Client().get(sent.headers["Location"])

    assert (sent.status_code, sent.headers["Location"]) == (303, f"{path(order)}?done=otp")
    assert sent.headers["Cache-Control"] == "no-store"
    assert told(then) == "The code is right. Thank you."
    assert "<h1" in then.content.decode()
    assert fresh(order).status == Status.DELIVERED
    assert ProofOfDelivery.objects.get(pk=order.pk).recorded_by == "customer"


def test_wrong_codes_are_counted_down_and_then_the_way_to_help_is_shown() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    client = Client()
    form = form_of(client.get(path(order)).content.decode()) | {"otp_code": wrong}

    answers = [client.post(path(order), form) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [400] * 5 + [409]
    assert told(answers[0]) == "This code is not right. 4 tries are left."
    assert told(answers[3]) == "This code is not right. One try is left."
    assert told(answers[4]).startswith("The code was wrong five times and is locked.")
    assert told(answers[5]) == told(answers[4])


def test_a_locked_code_is_not_asked_for_until_ops_unlocks_it() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    for _ in range(OneTimeCode.MAX_TRIES):
        answer = send(order, otp_code=f"{(int(code) + 1) % 1_000_000:06d}")

    locked = answer.content.decode()
    assert "The code is locked" in locked
    assert 'href="tel:+233302000000">Contact Shop by the sea' in locked
    assert "<form" not in locked

    codes.unlock(order.pk, by=SYSTEM)
    cache.fetch(order.public_tracking_id, fresh=True)
    assert send(order, otp_code=code).status_code == 303
    assert fresh(order).status == Status.DELIVERED


def test_what_is_no_code_is_no_try() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)

    assert told(send(order, otp_code="12345")) == "The code has six digits."
    assert told(send(order)) == "The code has six digits."
    assert OneTimeCode.objects.get(pk=order.pk).tries == 0


def test_a_signature_is_taken_as_strokes() -> None:
    order = secret_order(Status.DELIVERING)

    sent = send(order, signature=json.dumps(STROKES))

    assert sent.headers["Location"].endswith("?done=signature")
    assert ProofOfDelivery.objects.get(pk=order.pk).strokes == STROKES


@pytest.mark.parametrize("drawn", ["", "[]", "[[[1, 1]]]", "no JSON", "[" * 100_000])
def test_nothing_drawn_is_no_signature(drawn: str) -> None:
    order = secret_order(Status.DELIVERING)

    answer = send(order, signature=drawn)

    assert answer.status_code == 400
    assert "ign" in told(answer)
    assert not ProofOfDelivery.objects.exists()


def test_where_nothing_is_needed_a_word_completes_the_delivery() -> None:
    order = secret_order(Status.DELIVERING, pod_requirement=PodRequirement.NONE)

    first, second = send(order, do="confirm"), send(order)

    assert first.status_code == 303
    assert second.status_code == 400  # the page asks for nothing any more
    delivered = fresh(order)
    assert delivered.status == Status.DELIVERED
    event = delivered.events.get(type=EventType.DELIVERED)
    assert (event.actor_kind, event.message) == ("customer", "The customer has it.")


def test_two_open_tabs_make_one_delivery() -> None:
    order = secret_order(Status.DELIVERING, pod_requirement=PodRequirement.NONE)
    client = Client()
    form = form_of(client.get(path(order)).content.decode())

    answers = [client.post(path(order), form) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert fresh(order).events.filter(type=EventType.DELIVERED).count() == 1


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ENROUTE])
def test_a_word_before_the_drone_is_there_changes_nothing(status: Status) -> None:
    order = secret_order(status, pod_requirement=PodRequirement.NONE)
    confirm = f"/api/v1/tracking/{order.public_tracking_id}/confirm"

    answer = api_client().post(confirm, {}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_at_the_drop_point")
    assert fresh(order).status == status


def test_a_word_is_no_way_around_a_code() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    confirm = f"/api/v1/tracking/{order.public_tracking_id}/confirm"

    assert api_client().post(confirm, {}, format="json").json()["code"] == "proof_needed"
    assert send(order, do="confirm").status_code == 409
    assert fresh(order).status == Status.ARRIVED


# --- who may send --------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "0" * 32, None])
def test_a_form_that_this_page_did_not_make_does_nothing(token: str | None) -> None:
    order = secret_order(Status.DELIVERING, pod_requirement=PodRequirement.NONE)
    form = {"do": "confirm"} if token is None else {"do": "confirm", "token": token}

    answer = Client().post(path(order), form)

    assert answer.status_code == 400
    assert told(answer) == "This page was too old. Please try again."
    assert fresh(order).status == Status.DELIVERING


def test_a_form_of_another_delivery_does_nothing_here() -> None:
    mine = secret_order(Status.DELIVERING, pod_requirement=PodRequirement.NONE)
    other = form_of(Client().get(path(mine)).content.decode())["token"]
    order = order_in(Status.DELIVERING)

    assert Client().post(path(order), {"do": "confirm", "token": other}).status_code == 400


def test_an_unknown_link_takes_no_form() -> None:
    assert Client().post("/track/7Q2KM9XW4TZ1H/", {"do": "confirm"}).status_code == 404


def test_a_form_the_size_of_a_film_is_refused() -> None:
    order = secret_order(Status.DELIVERING)

    assert send(order, signature="1" * 600_000).status_code == 400


# --- where to put it -----------------------------------------------------------------------------

NEAR = (LAT + 100 * METRE_DEG, LNG)
FAR = (LAT + 200 * METRE_DEG, LNG)


def move(order: Order, lat: float, lng: float, **fix: Any) -> Any:
    where = f"/api/v1/tracking/{order.public_tracking_id}/dropoff"
    return api_client().post(where, {"lat": lat, "lng": lng, **fix}, format="json")


def just_now(**ago: float) -> str:
    return (timezone.now() - timedelta(**ago)).isoformat()


def test_the_drop_point_goes_where_the_customer_stands() -> None:
    order = secret_order(Status.QUEUED)
    taken_at = just_now(seconds=4)

    answer = move(order, *NEAR, accuracy_m=8.5, captured_at=taken_at)

    assert answer.status_code == 200
    assert answer.json()["timeline"][-1]["label"] == "Drop point moved"
    moved = fresh(order)
    assert (moved.dropoff_lat, moved.dropoff_lng, moved.dropoff_accuracy_m) == (*NEAR, 8.5)
    assert moved.dropoff_source == DropoffSource.CUSTOMER_GPS
    assert moved.dropoff_captured_at is not None
    event = moved.events.get(type=EventType.DROPOFF_CHANGED)
    assert event.actor_kind == "customer"
    assert "5.61" not in json.dumps(event.payload) + event.message


def test_a_pin_on_the_map_needs_no_accuracy_and_the_same_pin_twice_is_one_move() -> None:
    order = secret_order(Status.VALIDATED)

    answers = [move(order, *NEAR), move(order, *NEAR)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert fresh(order).events.filter(type=EventType.DROPOFF_CHANGED).count() == 1


def test_a_pin_that_was_not_moved_is_thanked_for_and_writes_nothing() -> None:
    order = order_in(Status.QUEUED, dropoff_accuracy_m=20)
    before = fresh(order)
    fix = {"accuracy_m": 8.5, "captured_at": just_now(seconds=4)}

    by_api = move(order, order.dropoff_lat, order.dropoff_lng, **fix)
    by_form = send(order, lat=f"{order.dropoff_lat:.7f}", lng=f"{order.dropoff_lng:.7f}", **fix)

    assert by_api.status_code == 200
    assert by_api.json()["timeline"][-1]["label"] != "Drop point moved"
    assert by_form.headers["Location"].endswith("?done=dropoff-same")
    page = Client().get(by_form.headers["Location"]).content.decode()
    assert "The drop point is there already. Nothing was changed." in page
    after = fresh(order)
    assert after.events.count() == before.events.count()
    assert (after.updated_at, after.dropoff_accuracy_m, after.dropoff_source, after.given_lat) == (
        before.updated_at,
        20,
        before.dropoff_source,
        None,
    )


def test_the_form_takes_coordinates_as_people_type_them() -> None:
    order = secret_order(Status.QUEUED)

    sent = send(order, lat=f" {NEAR[0]:.6f}".replace(".", ","), lng=f"{NEAR[1]:.6f}")

    assert sent.headers["Location"].endswith("?done=dropoff")
    assert fresh(order).dropoff_lat == pytest.approx(NEAR[0], abs=1e-6)


def test_nobody_moves_it_further_than_the_policy_allows_in_one_step_or_in_many() -> None:
    order = secret_order(Status.QUEUED)

    far = move(order, *FAR)
    near = move(order, *NEAR)
    further = move(order, *FAR)

    assert far.json()["errors"][0]["code"] == "dropoff_too_far"
    assert "200 m from the given drop point; at most 150 m" in far.json()["detail"]
    assert [far.status_code, near.status_code, further.status_code] == [400, 200, 400]
    moved = fresh(order)
    assert float(distance_m(LAT, LNG, moved.dropoff_lat, moved.dropoff_lng)) < 101
    policy.change(by=SYSTEM, customer_dropoff_radius_m=250)
    assert move(order, *FAR).status_code == 200


def test_once_the_merchant_gives_a_new_address_it_counts_from_there() -> None:
    order = secret_order(Status.QUEUED)
    move(order, *NEAR)
    placement.move_dropoff(
        order.pk,
        placement.Drop(lat=FAR[0], lng=FAR[1], source=DropoffSource.MERCHANT),
        by=SYSTEM,
    )

    assert move(order, FAR[0] + 140 * METRE_DEG, LNG).status_code == 200


@pytest.mark.parametrize(
    ("accuracy_m", "taken_min_ago", "code", "words"),
    [
        (80.0, 0, "dropoff_too_inaccurate", "Step into the open"),
        (8.0, 6, "dropoff_too_old", "too old"),
        (8.0, -5, "dropoff_too_old", "too old"),
    ],
)
def test_a_poor_position_is_refused_with_advice(
    accuracy_m: float, taken_min_ago: int, code: str, words: str
) -> None:
    order = secret_order(Status.QUEUED)
    fix = {"accuracy_m": accuracy_m, "captured_at": just_now(minutes=taken_min_ago)}

    by_api = move(order, *NEAR, **fix)
    by_form = send(order, lat=NEAR[0], lng=NEAR[1], **fix)

    assert by_api.json()["errors"][0]["code"] == code
    assert words in told(by_form)
    assert fresh(order).dropoff_source == DropoffSource.MERCHANT


def test_no_pin_is_put_into_a_no_fly_zone_or_out_of_the_area() -> None:
    NoFlyZoneFactory(polygon=square(*NEAR, side_m=50))
    order = secret_order(Status.QUEUED)
    policy.change(by=SYSTEM, customer_dropoff_radius_m=5000)

    assert move(order, *NEAR).json()["errors"][0]["code"] == "in_no_fly_zone"
    assert told(send(order, lat=NEAR[0], lng=NEAR[1])).startswith("Drones may not fly there.")
    assert move(order, 7.0, LNG).json()["errors"][0]["code"] == "outside_service_area"


@pytest.mark.parametrize("lat", ["", "north", "91", "nan"])
def test_what_is_no_place_is_said_to_be_none(lat: str) -> None:
    answer = send(secret_order(Status.QUEUED), lat=lat, lng="-0.1")

    assert answer.status_code == 400
    assert told(answer) == "These coordinates cannot be read."


def test_once_a_drone_is_assigned_it_is_too_late() -> None:
    order = secret_order(Status.QUEUED)
    form = form_of(Client().get(path(order)).content.decode())
    lifecycle.assign(order.pk, DroneFactory().pk, by=GCS, why="The only one.")

    assert move(order, *NEAR).json()["current_status"] == "ASSIGNED"
    answer = Client().post(path(order), {**form, "lat": NEAR[0], "lng": NEAR[1]})
    assert told(answer) == "It is too late to move the drop point: a drone is on it."

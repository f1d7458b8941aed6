"""The page's forms without JavaScript, and the same actions by the API."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fleet import policy
from fleet.feasibility.geometry import distance_m
from fleet.tests.factories import METRE_DEG, DroneFactory, GeoZoneFactory, square
from orders import lifecycle
from orders.changes import dropoff
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
    """The hidden fields of the form to receive or to move; those for instructions and problems come
    after it.
    """
    asked = html.partition('<section id="cases"')[0]
    return dict(reversed(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', asked)))


def send(order: Order, query: str = "", **fields: Any) -> Any:
    """Open the page, fill its form in, send it."""
    client = Client()
    form = form_of(client.get(path(order)).content.decode()) | fields
    return client.post(path(order) + query, form)


def feedback(answer: Any) -> str:
    found = re.search(r'class="feedback \w+"[^>]*>([^<]*)', answer.content.decode())
    return found[1] if found else ""


def fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


# --- receiving -----------------------------------------------------------------------------------


def test_the_right_code_redirects_to_a_page_with_thanks() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)

    sent = send(order, otp_code=f"{code[:3]} {code[3:]}")
    then = Client().get(sent.headers["Location"])

    assert (sent.status_code, sent.headers["Location"]) == (303, f"{path(order)}?done=otp")
    assert sent.headers["Cache-Control"] == "no-store"
    assert feedback(then) == "The code is right. Thank you."
    assert "<h1" in then.content.decode()
    assert fresh(order).status == Status.DELIVERED
    assert ProofOfDelivery.objects.get(pk=order.pk).recorded_by == "customer"


def test_wrong_codes_show_the_tries_left_and_then_where_to_get_help() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    code = codes.renew(order.pk, by=SYSTEM)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    client = Client()
    form = form_of(client.get(path(order)).content.decode()) | {"otp_code": wrong}

    answers = [client.post(path(order), form) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [400] * 5 + [409]
    assert feedback(answers[0]) == "This code is not right. 4 tries are left."
    assert feedback(answers[3]) == "This code is not right. One try is left."
    assert feedback(answers[4]).startswith("The code was wrong five times and is locked.")
    assert feedback(answers[5]) == feedback(answers[4])


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


def test_a_malformed_code_does_not_count_as_a_try() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)

    assert feedback(send(order, otp_code="12345")) == "The code has six digits."
    assert feedback(send(order)) == "The code has six digits."
    assert OneTimeCode.objects.get(pk=order.pk).tries == 0


def test_a_signature_is_stored_as_strokes() -> None:
    order = secret_order(Status.DELIVERING)

    sent = send(order, signature=json.dumps(STROKES))

    assert sent.headers["Location"].endswith("?done=signature")
    assert ProofOfDelivery.objects.get(pk=order.pk).strokes == STROKES


@pytest.mark.parametrize("drawn", ["", "[]", "[[[1, 1]]]", "no JSON", "[" * 100_000])
def test_an_empty_or_malformed_signature_is_refused(drawn: str) -> None:
    order = secret_order(Status.DELIVERING)

    answer = send(order, signature=drawn)

    assert answer.status_code == 400
    assert "ign" in feedback(answer)
    assert not ProofOfDelivery.objects.exists()


def test_a_confirmation_completes_a_delivery_that_needs_no_proof() -> None:
    order = secret_order(Status.DELIVERING, pod_requirement=PodRequirement.NONE)

    first, second = send(order, do="confirm"), send(order)

    assert first.status_code == 303
    assert second.status_code == 400  # the page has no form any more
    delivered = fresh(order)
    assert delivered.status == Status.DELIVERED
    event = delivered.events.get(type=EventType.DELIVERED)
    assert (event.actor_kind, event.message) == ("customer", "The customer has it.")


def test_confirming_twice_delivers_once() -> None:
    order = secret_order(Status.DELIVERING, pod_requirement=PodRequirement.NONE)
    client = Client()
    form = form_of(client.get(path(order)).content.decode())

    answers = [client.post(path(order), form) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert fresh(order).events.filter(type=EventType.DELIVERED).count() == 1


@pytest.mark.parametrize("status", [Status.QUEUED, Status.ENROUTE])
def test_a_confirmation_before_arrival_is_refused(status: Status) -> None:
    order = secret_order(status, pod_requirement=PodRequirement.NONE)
    confirm = f"/api/v1/tracking/{order.public_tracking_id}/confirm"

    answer = api_client().post(confirm, {}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_at_the_drop_point")
    assert fresh(order).status == status


def test_a_confirmation_cannot_replace_a_code() -> None:
    order = secret_order(Status.ARRIVED, pod_requirement=PodRequirement.OTP)
    confirm = f"/api/v1/tracking/{order.public_tracking_id}/confirm"

    assert api_client().post(confirm, {}, format="json").json()["code"] == "proof_needed"
    assert send(order, do="confirm").status_code == 409
    assert fresh(order).status == Status.ARRIVED


# --- tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "0" * 32, None])
def test_a_form_without_a_valid_token_is_refused(token: str | None) -> None:
    order = secret_order(Status.DELIVERING, pod_requirement=PodRequirement.NONE)
    form = {"do": "confirm"} if token is None else {"do": "confirm", "token": token}

    answer = Client().post(path(order), form)

    assert answer.status_code == 400
    assert feedback(answer) == "This page was too old. Please try again."
    assert fresh(order).status == Status.DELIVERING


def test_the_token_of_another_delivery_is_refused() -> None:
    mine = secret_order(Status.DELIVERING, pod_requirement=PodRequirement.NONE)
    other = form_of(Client().get(path(mine)).content.decode())["token"]
    order = order_in(Status.DELIVERING)

    assert Client().post(path(order), {"do": "confirm", "token": other}).status_code == 400


def test_a_form_for_an_unknown_link_is_not_found() -> None:
    assert Client().post("/track/7Q2KM9XW4TZ1H/", {"do": "confirm"}).status_code == 404


def test_a_form_that_is_too_large_is_refused() -> None:
    order = secret_order(Status.DELIVERING)

    assert send(order, signature="1" * 600_000).status_code == 400


# --- drop point ----------------------------------------------------------------------------------

NEAR = (LAT + 100 * METRE_DEG, LNG)
FAR = (LAT + 200 * METRE_DEG, LNG)


def move(order: Order, lat: float, lng: float, **fix: Any) -> Any:
    where = f"/api/v1/tracking/{order.public_tracking_id}/dropoff"
    return api_client().post(where, {"lat": lat, "lng": lng, **fix}, format="json")


def just_now(**ago: float) -> str:
    return (timezone.now() - timedelta(**ago)).isoformat()


def test_a_measured_position_moves_the_drop_point() -> None:
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


def test_an_unchanged_drop_point_is_accepted_and_writes_nothing() -> None:
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


def test_the_form_accepts_a_decimal_comma() -> None:
    order = secret_order(Status.QUEUED)

    sent = send(order, lat=f" {NEAR[0]:.6f}".replace(".", ","), lng=f"{NEAR[1]:.6f}")

    assert sent.headers["Location"].endswith("?done=dropoff")
    assert fresh(order).dropoff_lat == pytest.approx(NEAR[0], abs=1e-6)


def test_metres_count_from_the_given_address_however_often_they_are_sent() -> None:
    order = secret_order(Status.QUEUED)

    for north_m, moves in ((30, 1), (30, 1), (10, 2)):
        sent = send(order, lat="5.6", lng="-0.1", north_m=str(north_m), east_m="-12,5")

        assert sent.status_code == 303
        moved = fresh(order)
        assert dropoff.moved_m(moved) == pytest.approx((north_m, -12.5), abs=0.01)
        assert distance_m(LAT, LNG, moved.dropoff_lat, moved.dropoff_lng) == pytest.approx(
            (north_m**2 + 12.5**2) ** 0.5, abs=0.1
        )
        assert moved.events.filter(type=EventType.DROPOFF_CHANGED).count() == moves
    html = Client().get(path(order)).content.decode()
    assert 'data-moved="10.0,-12.5"' in html


@pytest.mark.parametrize(
    ("north_m", "east_m", "says"),
    [
        ("x", "1", "These coordinates cannot be read."),
        ("1", "", "These coordinates cannot be read."),
        ("nan", "1", "These coordinates cannot be read."),
        ("1e300", "1", "These coordinates cannot be read."),
        ("100", "-120", "That is too far from the address that was given: at most 150 m."),
    ],
)
def test_metres_that_make_no_place_are_refused(north_m: str, east_m: str, says: str) -> None:
    order = secret_order(Status.QUEUED)

    sent = send(order, lat="5.6", lng="-0.1", north_m=north_m, east_m=east_m)

    assert feedback(sent).startswith(says)
    assert (fresh(order).dropoff_lat, fresh(order).dropoff_lng) == (LAT, LNG)


def test_the_drop_point_stays_within_the_radius_even_in_several_moves() -> None:
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


def test_a_place_on_the_map_is_a_pin_and_no_measurement() -> None:
    order = secret_order(Status.QUEUED)
    assert move(order, *NEAR).status_code == 200
    moved = fresh(order)
    assert (moved.dropoff_source, moved.dropoff_accuracy_m) == (DropoffSource.CUSTOMER_PIN, None)
    # The radius of customers applies to it, too.
    assert move(order, *FAR).json()["errors"][0]["code"] == "dropoff_too_far"


def test_the_radius_is_measured_from_the_merchants_latest_address() -> None:
    order = secret_order(Status.QUEUED)
    move(order, *NEAR)
    dropoff.move_dropoff(
        order.pk,
        dropoff.Drop(lat=FAR[0], lng=FAR[1], source=DropoffSource.MERCHANT),
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
def test_an_inaccurate_or_old_position_is_refused_with_advice(
    accuracy_m: float, taken_min_ago: int, code: str, words: str
) -> None:
    order = secret_order(Status.QUEUED)
    fix = {"accuracy_m": accuracy_m, "captured_at": just_now(minutes=taken_min_ago)}

    by_api = move(order, *NEAR, **fix)
    by_form = send(order, lat=NEAR[0], lng=NEAR[1], **fix)

    assert by_api.json()["errors"][0]["code"] == code
    assert words in feedback(by_form)
    assert fresh(order).dropoff_source == DropoffSource.MERCHANT


def test_a_customer_moves_the_drop_point_at_most_20_times() -> None:
    order = secret_order(Status.QUEUED)
    for n in range(dropoff.MAX_CUSTOMER_MOVES):
        there = order.dropoff_lat + (n % 2 + 1) * 1e-4
        assert move(order, there, order.dropoff_lng).status_code == 200
    refused = move(order, order.dropoff_lat, order.dropoff_lng)
    assert (refused.status_code, refused.json()["code"]) == (409, "moved_too_often")
    before = fresh(order)
    merchants = dropoff.Drop(
        lat=order.dropoff_lat, lng=order.dropoff_lng, source=DropoffSource.MERCHANT
    )
    assert dropoff.move_dropoff(order.pk, merchants, by=SYSTEM).changed
    assert before.dropoff_lat != fresh(order).dropoff_lat


def test_the_drop_point_cannot_move_into_a_no_fly_zone_or_out_of_the_area() -> None:
    GeoZoneFactory(polygon=square(*NEAR, side_m=50))
    order = secret_order(Status.QUEUED)
    policy.change(by=SYSTEM, customer_dropoff_radius_m=5000)

    assert move(order, *NEAR).json()["errors"][0]["code"] == "in_no_fly_zone"
    assert feedback(send(order, lat=NEAR[0], lng=NEAR[1])).startswith("Drones may not fly there.")
    assert move(order, 7.0, LNG).json()["errors"][0]["code"] == "outside_service_area"


@pytest.mark.parametrize("lat", ["", "north", "91", "nan"])
def test_malformed_coordinates_are_refused(lat: str) -> None:
    answer = send(secret_order(Status.QUEUED), lat=lat, lng="-0.1")

    assert answer.status_code == 400
    assert feedback(answer) == "These coordinates cannot be read."


def test_the_drop_point_cannot_move_once_a_drone_is_assigned() -> None:
    order = secret_order(Status.QUEUED)
    form = form_of(Client().get(path(order)).content.decode())
    lifecycle.assign(order.pk, DroneFactory().pk, by=GCS, why="The only one.")

    assert move(order, *NEAR).json()["current_status"] == "ASSIGNED"
    answer = Client().post(path(order), {**form, "lat": NEAR[0], "lng": NEAR[1]})
    assert feedback(answer) == "It is too late to move the drop point: a drone is on it."

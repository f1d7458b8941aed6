"""Small parts of orders: masks, tracking ids, the schedule, trip table, state machine page."""

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from fleet.airspace import rulebook
from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from orders import actors, placement
from orders.management.commands import state_machine
from orders.models import Order
from orders.personal_data.masking import masked_email, masked_name, masked_phone
from orders.states import (
    Status,
)
from orders.tests.factories import OrderFactory, order_in
from orders.tracking_ids import TRACKING_ALPHABET, new_tracking_id
from wingxtra.broker import schedule


@pytest.mark.parametrize(
    ("mask", "shown", "masked"),
    [
        (masked_name, "Ama Mensah", "A*** M***"),
        (masked_name, "", ""),
        (masked_phone, "+233241234567", "***567"),
        (masked_phone, "", ""),
        (masked_phone, None, ""),
        (masked_email, "ama.mensah@example.com", "a***@example.com"),
        (masked_email, "", ""),
    ],
)
def test_names_and_numbers_are_masked(mask, shown, masked) -> None:
    assert mask(shown) == masked


def test_a_tracking_id_can_be_read_aloud_and_not_guessed() -> None:
    ids = {new_tracking_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 13 and set(one) <= set(TRACKING_ALPHABET) for one in ids)
    assert not set("ILOU") & set(TRACKING_ALPHABET)


@pytest.mark.django_db
def test_scheduled_orders_are_queued_by_the_schedule_when_they_are_due() -> None:
    order = order_in(Status.VALIDATED)
    assert actors.enqueue_due in [tick.actor for tick in schedule]
    actors.enqueue_due()
    assert Order.objects.get(pk=order.pk).status == Status.VALIDATED
    with time_machine.travel(order.not_before, tick=False):
        actors.enqueue_due()
    assert Order.objects.get(pk=order.pk).status == Status.QUEUED


@pytest.mark.django_db
def test_orders_become_trips_of_their_area() -> None:
    DroneFactory()
    gone = ServiceAreaFactory(name="Closed", active=False)
    orders = [OrderFactory(payload_type="MEDICINE"), OrderFactory(service_area=gone)]
    book = rulebook.load(timezone.now())
    trips = placement.trip_table(orders, book)
    assert len(trips) == 2
    assert book.areas[trips.area[0]] == orders[0].service_area
    assert trips.area[1] == placement.NO_AREA
    assert trips.dropoff_lat.tolist() == [5.6150, 5.6150]


def test_the_command_writes_the_docs_page_of_the_state_machine(
    tmp_path, monkeypatch, capsys
) -> None:
    page = tmp_path / "state-machine.md"
    page.write_text(f"Before.\n{state_machine.BEGIN}\nold\n{state_machine.END}\nAfter.\n")
    monkeypatch.setattr(state_machine, "PAGE", page)
    with pytest.raises(SystemExit):
        call_command("state_machine", "--check")
    call_command("state_machine")
    assert "CREATED --> VALIDATED: validate" in page.read_text()
    assert page.read_text().startswith("Before.")
    assert page.read_text().endswith("After.\n")
    call_command("state_machine", "--check")

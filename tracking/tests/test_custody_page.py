"""The customer's page and its JSON when a flight has gone wrong."""

import pytest
from django.test import Client

from dispatch.missions import discrepancies
from dispatch.models import Discrepancy
from orders import lifecycle
from orders.models import Order
from orders.states import Status
from tracking.page import cache
from tracking.tests import looks
from wingxtra.accounts.identity import SYSTEM

pytestmark = pytest.mark.django_db


def json_of(order: Order) -> dict[str, object]:
    cache.fetch(order.public_tracking_id, fresh=True)
    return Client().get(f"/api/v1/tracking/{order.public_tracking_id}").json()


def page_of(order: Order, lang: str = "en") -> str:
    cache.fetch(order.public_tracking_id, fresh=True)
    return Client().get(f"/track/{order.public_tracking_id}/?lang={lang}").content.decode()


@pytest.mark.parametrize(
    ("look", "headline", "custody"),
    [
        ("checking", "We are checking your delivery", "DRONE"),
        ("looking", "We are looking for your parcel", "UNKNOWN"),
        ("at-hub", "Your parcel is back at our hub", "HUB"),
    ],
)
def test_a_misplaced_parcel_is_explained_without_eta_and_position(
    look: str, headline: str, custody: str
) -> None:
    order = looks.ALL[look]()
    view, page = json_of(order), page_of(order)
    assert (view["headline"], view["custody"]["holder"]) == (headline, custody)
    assert (view["eta_seconds"], view["position"]) == (None, None)
    assert headline in page
    assert "data-drone=" not in page
    assert "another drone" not in page
    # No promise and no form while staff are checking.
    assert ("Promised by" in page) == (look == "at-hub")
    assert ("Put it where I stand" in page) == (look == "at-hub")


def test_a_misplaced_parcel_is_explained_in_french() -> None:
    page = page_of(looks.looking(), "fr")
    assert "Nous cherchons votre colis" in page
    assert "looking for" not in page


@pytest.mark.parametrize(
    ("code", "believed"),
    [
        (Discrepancy.Code.STANDS_AT_HUB, False),
        (Discrepancy.Code.UNCLEAR_LANDING, False),
        (Discrepancy.Code.AIRSPACE, True),
        (Discrepancy.Code.WEATHER, True),
        (Discrepancy.Code.BATTERY, True),
    ],
)
def test_contradictory_reports_hide_eta_and_position(
    code: Discrepancy.Code, believed: bool
) -> None:
    order = looks.on_its_way()
    assert json_of(order)["position"] is not None
    discrepancies.raise_(lifecycle.job_of(order), code, "The reports differ.")
    view, page = json_of(order), page_of(order)
    assert (view["position"] is not None) == believed
    assert (view["eta_seconds"] is not None) == believed
    assert ("data-drone=" in page) == believed

    settled = Discrepancy.objects.get(order=order)
    discrepancies.settle(settled.pk, by=SYSTEM, note="Looked.")
    assert json_of(order)["position"] is not None


def test_a_correction_changes_the_page() -> None:
    order = looks.failed()
    assert "could not deliver" in page_of(order)
    lifecycle.correct(order.pk, outcome=Status.DELIVERED, by=SYSTEM, why="They have it.")
    page = page_of(order)
    assert "Delivered after all" in page
    assert "could not deliver" not in page
    lifecycle.correct(order.pk, outcome=Status.FAILED, by=SYSTEM, why="They do not.")
    page = page_of(order)
    assert "We were wrong: it was not delivered" in page
    assert "We are looking for your parcel. The sender knows." in page
    assert json_of(order)["milestones"][-1] == "FAILED"

"""The page after a hand-over whose proof is missing: it does not say “Delivered”."""

from collections.abc import Callable

import pytest

from fleet import policy
from orders import lifecycle
from orders.models import Order
from orders.states import PodRequirement, Status
from pod import codes, proofs
from pod.proofs import Evidence
from tracking.page import cache
from tracking.tests.deliveries import secret_order
from tracking.tests.test_forms import form_of, send
from tracking.tests.test_page import page, text_of
from wingxtra.accounts.identity import CUSTOMER, GCS, SYSTEM

pytestmark = pytest.mark.django_db

WITH_A_FORM = {PodRequirement.OTP: "otp", PodRequirement.SIGNATURE: "signature"}
WITHOUT = (PodRequirement.PHOTO, PodRequirement.OPERATOR_CONFIRM)


def handed_over(requirement: PodRequirement, *, waits: bool) -> Order:
    """The drone reports the hand-over; `waits`: the policy keeps the order in DELIVERING."""
    policy.change(by=SYSTEM, proof_waits_otp=waits, proof_waits_signature=waits)
    order = secret_order(Status.ARRIVED, pod_requirement=requirement)
    lifecycle.advance(order.pk, Status.DELIVERED, by=GCS)
    return Order.objects.get(pk=order.pk)


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("requirement", WITH_A_FORM)
def test_above_an_open_form_the_page_never_says_delivered(
    requirement: PodRequirement, waits: bool
) -> None:
    order = handed_over(requirement, waits=waits)
    assert order.status == (Status.DELIVERING if waits else Status.DELIVERED)

    html = page(order.public_tracking_id).content.decode()

    assert form_of(html)["do"] == WITH_A_FORM[requirement]
    above, _, below = html.partition('<section id="ask"')
    assert "The drone has handed over your parcel" in above
    assert "Please confirm with your" in above
    assert "Delivered<" not in above
    assert ">Delivered<" not in below or waits  # then it is a step ahead
    shown = cache.fetch(order.public_tracking_id).view
    labels = [entry["label"] for entry in shown["timeline"]]
    assert labels[-1] == shown["custody"]["label"] == "Handed over by the drone"
    assert (shown["position"], shown["eta_at"]) == (None, None)


@pytest.mark.parametrize("requirement", WITHOUT)
def test_where_the_customer_can_do_nothing_the_page_says_so(requirement: PodRequirement) -> None:
    order = handed_over(requirement, waits=False)
    text = text_of(page(order.public_tracking_id))
    assert "The drone has handed over your parcel" in text
    assert "There is nothing for you to do." in text


def test_in_french() -> None:
    order = handed_over(PodRequirement.OTP, waits=False)
    text = text_of(page(order.public_tracking_id, accept_language="fr"))
    assert "Le drone a remis votre colis" in text
    assert "Confirmez avec votre code que vous l’avez." in text


@pytest.mark.parametrize("waits", [True, False])
def test_the_code_makes_it_delivered(waits: bool, copies_expire: Callable[[], None]) -> None:
    order = handed_over(PodRequirement.OTP, waits=waits)
    code = codes.renew(order.pk, by=SYSTEM)
    assert send(order, otp_code=code).status_code == 303
    copies_expire()
    shown = cache.fetch(order.public_tracking_id)
    assert (shown.view["status"], shown.view["headline"]) == ("DELIVERED", "Delivered")
    assert shown.view["timeline"][-1]["label"] == "Receipt confirmed"


def test_without_a_requirement_nothing_is_confirmed() -> None:
    order = handed_over(PodRequirement.NONE, waits=False)
    assert cache.fetch(order.public_tracking_id).view["headline"] == "Delivered"


def test_a_proof_by_staff_makes_it_delivered() -> None:
    order = handed_over(PodRequirement.PHOTO, waits=False)
    proofs.record(order.pk, Evidence.confirmation("Kofi"), by=CUSTOMER)
    assert cache.fetch(order.public_tracking_id).view["headline"] == "Delivered"

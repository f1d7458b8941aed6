"""An order full of private values, with telemetry of its drone."""

from datetime import timedelta

from django.utils import timezone

from fleet.tests.factories import DroneFactory, TelemetryFactory, show
from orders import lifecycle
from orders.models import Order
from orders.states import IN_FLIGHT, PodRequirement, Status
from orders.tests.factories import order_in
from pod import proofs
from wingxtra.accounts.identity import CUSTOMER, Actor, ActorKind
from wingxtra.accounts.tests.factories import MerchantFactory

OPERATOR = Actor(ActorKind.USER, "operator-efua")
DRONE_ID = "WX-SECRET-7"
# Their digits after the fourth decimal appear nowhere else.
LAT, LNG = 5.6151847362, -0.1751952847
STROKES = [[[0.0, 0.0], [30.0, 20.0], [60.0, 5.0]]]


def secrets_of(order: Order) -> list[str]:
    """Texts that no public answer may contain."""
    return [
        str(order.pk),
        str(order.merchant_id),
        str(order.current_job_id),
        str(order.current_job.mission_intent_id) if order.current_job else str(order.pk),
        "Kanda Highway",
        "Portail bleu",
        "basket of Akua",
        "Ama",
        "Mensah",
        "241234567",
        "ama@mail.example",
        "Ridge Pharmacy Back Door",
        "operator-efua",
        DRONE_ID,
        "5.61518",
        "0.17519",
        "Kofi at the gate",
        "proofs/",
        "pod-images",
    ]


def secret_order(
    status: Status, *, pod_requirement: PodRequirement = PodRequirement.SIGNATURE
) -> Order:
    """An order in `status` whose private fields are all among `secrets_of`."""
    order = order_in(
        status,
        drone=DroneFactory(drone_id=DRONE_ID),
        merchant=MerchantFactory(name="Shop by the sea", support_contact="+233 30 200 0000"),
        external_id="REF-4711",
        dropoff_address="12 Kanda Highway",
        dropoff_instructions="Portail bleu",
        metadata={"note": "basket of Akua"},
        customer_name="Ama Mensah",
        customer_phone="+233241234567",
        customer_email="ama@mail.example",
        pickup_name="Ridge Pharmacy Back Door",
        dropoff_lat=LAT,
        dropoff_lng=LNG,
        pod_requirement=pod_requirement,
    )
    if order.status in IN_FLIGHT:
        show(TelemetryFactory(drone_id=DRONE_ID, lat=LAT, lng=LNG, heading_deg=87.0))
    return order


def proved_order() -> Order:
    order = secret_order(Status.ARRIVED)
    signature = proofs.Evidence.drawn_signature(STROKES, note="Kofi at the gate")
    proofs.record(order.pk, signature, by=CUSTOMER)
    return Order.objects.select_related("current_job").get(pk=order.pk)


def expect_in(order: Order, minutes: float) -> None:
    """Set the ETA, as the flight follower does in production."""
    job = lifecycle.job_of(order)
    job.eta_at = timezone.now() + timedelta(minutes=minutes)
    job.save(update_fields=["eta_at"])

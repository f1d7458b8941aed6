"""The sections of an order's page that `orders` provides: summary, timeline, attempts."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fleet import policy
from fleet.feasibility.reasons import in_cm
from fleet.models import Drone
from orders import presentation
from orders.console import notes
from orders.models import DeliveryEvent, DeliveryJob, Order
from orders.models.spot import pause_ends_at
from orders.personal_data.masking import masked_name, masked_phone
from orders.states import WITH_A_JOB, EventType, HoldCode, Holder, Status
from wingxtra.accounts.identity import ActorKind
from wingxtra.console.admin import badge, duration, moment
from wingxtra.console.registry import Section, Tone, add_section


def summary(order: Order, request: HttpRequest) -> Section:
    in_full = request.user.has_perm("orders.view_personal_data")
    name, phone = order.customer_name, str(order.customer_phone or "")
    if not in_full:
        name, phone = masked_name(name), masked_phone(phone)
    rows: list[tuple[str, Any]] = [
        ("Customer", name or "—"),
        ("Phone", phone or "—"),
        ("E-mail", _private(order.customer_email, in_full)),
        ("Language", dict(settings.LANGUAGES).get(order.customer_language) or "—"),
        ("Merchant", order.merchant),
        ("Merchant's reference", order.external_id or "—"),
        ("Parcel", _parcel(order)),
        ("Where the parcel is", _holder(order)),
        ("Ready for pickup", moment(order.parcel_ready_at)),
        ("Pickup", _place(order.pickup_lat, order.pickup_lng, order.pickup_name)),
        ("Store", _store(order)),
        ("Drop point", _place(order.dropoff_lat, order.dropoff_lng, _accuracy(order))),
        ("Address", _private(order.dropoff_address, in_full)),
        ("Instructions", _private(order.dropoff_instructions, in_full)),
        ("Service area", order.service_area),
        ("Not before", moment(order.not_before)),
        ("Deliver by", moment(order.deliver_by)),
        ("Delivered", moment(order.delivered_at)),
        ("Proof needed", order.get_pod_requirement_display()),
        ("Attempts so far", order.attempts),
    ]
    if order.metadata:
        members = "; ".join(f"{name}: {value}" for name, value in order.metadata.items())
        rows.append(("Merchant's metadata", _private(members, in_full)))
    if in_line := presentation.in_line(order.in_line):
        rows.append(("Waits", in_line))
    if order.quoted_low_at and order.quoted_high_at:
        quoted = (moment(order.quoted_low_at), moment(order.quoted_high_at))
        rows.append(("Quoted when placed", format_html("{} to {}", *quoted)))
    if until := _waits_for_spot_until(order, request):
        rows.append(("Waits for the exact spot until", moment(until)))
    if order.reason_code:
        rows.append(("Ended because", order.get_reason_code_display()))
    if order.cancel_reason:
        note = order.cancel_note if in_full else "•••" if order.cancel_note else ""
        rows.append(("Canceled because", f"{order.get_cancel_reason_display()}. {note}"))
    tracking_url = f"{settings.PUBLIC_BASE_URL}/track/{order.public_tracking_id}/"
    context: dict[str, Any] = {"facts": rows, "tracking_url": tracking_url}
    if request.user.has_perm("orders.change_order"):
        context["label_url"] = reverse("order-label", args=[order.pk])
    return Section("The order", "console/order/facts.html", context)


def _private(text: str, in_full: bool) -> str:
    return (text if in_full else "•••") if text else "—"


def _parcel(order: Order) -> str:
    parcel = f"{order.get_payload_type_display()}, {order.payload_weight_kg:g} kg"
    return f"{parcel}, {in_cm(order.payload_size_cm)}" if order.payload_size_cm else parcel


def _waits_for_spot_until(order: Order, request: HttpRequest) -> datetime | None:
    if order.status != Status.QUEUED:
        return None
    ends_at = pause_ends_at(order, policy.current_for(request))
    return ends_at if ends_at and ends_at > timezone.now() else None


def _holder(order: Order) -> SafeString:
    place = badge(presentation.parcel_place(order), presentation.HOLDER_TONE[order.holder])
    return format_html("{} since {}", place, moment(order.holder_since))


def _store(order: Order) -> SafeString | str:
    store = order.store
    if store is None:
        return "—"
    url = reverse("admin:orders_store_change", args=[store.pk])
    return format_html('<a href="{}">{}</a> {}', url, store, store.instructions)


def open_question(order: Order) -> str:
    """What staff must find out about the order's parcel; empty when nothing is open."""
    if order.hold_code:
        return str(order.get_hold_code_display())
    if order.holder == Holder.UNKNOWN:
        return str(HoldCode.PARCEL_UNKNOWN.label)
    is_aboard = order.holder == Holder.DRONE and order.status not in WITH_A_JOB
    return str(HoldCode.PARCEL_ABOARD.label) if is_aboard else ""


def _place(lat: float, lng: float, remark: str) -> str:
    return f"{lat:.5f}, {lng:.5f}" + (f" ({remark})" if remark else "")


def _accuracy(order: Order) -> str:
    source = f"from {order.get_dropoff_source_display().lower()}"
    if order.dropoff_accuracy_m is None:
        return source
    return f"{source}, ± {order.dropoff_accuracy_m:.0f} m"


def _history_of(order: Order) -> tuple[QuerySet[DeliveryEvent]]:
    return (order.history(),)


def timeline(order: Order, request: HttpRequest, events: list[DeliveryEvent]) -> Section:
    is_whole = bool(events) and events[0].type == EventType.CREATED
    context = {"events": timeline_rows(events, order), "archived": not is_whole}
    return Section("Timeline", "console/order/timeline.html", context)


def timeline_rows(events: list[DeliveryEvent], order: Order) -> list[dict[str, Any]]:
    """One row per event: label, message, who, when, the gap to the one before, and how late."""
    rows = []
    previous_at, zone = None, order.service_area.zone
    for event in events:
        gap = _gap(event.created_at - previous_at) if previous_at else []
        if event.occurred_at > order.deliver_by:
            gap.append(f"{duration(event.occurred_at - order.deliver_by)} late")
        rows.append(
            {
                "label": EventType(event.type).label,
                "message": added_message(event),
                "who": actor_name(event),
                "at": moment(event.occurred_at, seconds=True, zone=zone),
                "gap": ", ".join(gap),
                "tone": presentation.EVENT_TONE.get(event.type, Tone.IDLE),
            }
        )
        previous_at = event.created_at
    return rows


def _gap(span: timedelta) -> list[str]:
    """Empty below one second."""
    return [f"after {duration(span)}"] if span >= timedelta(seconds=1) else []


def added_message(event: DeliveryEvent) -> str:
    """The event's message; empty when it only repeats the label of its type."""
    is_the_label = event.message.rstrip(".") == EventType(event.type).label
    return "" if is_the_label else event.message


def actor_name(event: DeliveryEvent) -> str:
    """“ama”, “API key till 3”, “Dispatcher”."""
    kind = ActorKind(event.actor_kind)
    if kind == ActorKind.USER:
        return event.actor_ref
    return f"{kind.label} {event.actor_ref}".strip()


def _jobs_of(order: Order) -> tuple[QuerySet[DeliveryJob]]:
    return (order.jobs.order_by("-attempt"),)


def jobs(order: Order, request: HttpRequest, found: list[DeliveryJob]) -> Section:
    rows = [_job(job) for job in found]
    return Section("Attempts", "console/order/jobs.html", {"jobs": rows})


def _job(job: DeliveryJob) -> dict[str, Any]:
    now = timezone.now()
    eta_s = job.eta_seconds(now)
    return {
        "attempt": job.attempt,
        "drone_id": job.drone_id,
        "drone_url": job.drone_id and reverse("admin:fleet_drone_change", args=[job.drone_id]),
        "state": badge(job.get_status_display(), presentation.JOB_TONE[job.status]),
        "eta": moment(job.promised_at) if eta_s is None else _soon(eta_s),
        "ended_because": job.ended_because,
        "override_reason": job.override_reason,
    }


def _soon(eta_s: int) -> str:
    return f"in {round(eta_s / 60)} min" if eta_s >= 30 else "any moment"


def deliveries_of(drone: Drone, request: HttpRequest) -> Section:
    """The drone's latest jobs."""
    rows = [
        {
            "order": job.order,
            "url": reverse("admin:orders_order_change", args=[job.order_id]),
            "state": badge(job.get_status_display(), presentation.JOB_TONE[job.status]),
            "at": moment(job.created_at),
            "ended_because": job.ended_because,
        }
        for job in drone.jobs.select_related("order")[:10]
    ]
    return Section("Deliveries", "console/drone/deliveries.html", {"rows": rows})


def add_to_console() -> None:
    add_section(Drone, 20, deliveries_of)
    add_section(Order, 10, summary)
    add_section(Order, 30, timeline, _history_of)
    add_section(Order, 35, notes.section, notes.read)
    add_section(Order, 40, jobs, _jobs_of)

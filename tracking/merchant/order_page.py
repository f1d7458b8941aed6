"""The story of one order, and what its merchant may still change."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from dispatch import testmode
from dispatch.api.serializers import CancelInput
from dispatch.api.views import readable_for
from dispatch.missions import before_launch
from orders import lifecycle
from orders.api import forms
from orders.api.contract import OrderBody
from orders.api.reading import order_for
from orders.api.serializers import NewWindow, OrderChange, event_json, order_json, stored
from orders.changes import details, tracking_link
from orders.custody import OPEN_BEFORE_LOADING
from orders.loading.views import label_of
from orders.models import DeliveryEvent, Order
from orders.promises import memory
from orders.states import CANCELABLE, TRANSITIONS, CancelReason, Holder, Status
from pod import proofs
from pod.models import ProofOfDelivery
from pod.views import record_of
from tracking.merchant import frame, words
from tracking.merchant.access import PageCaller, merchant_page
from wingxtra.problems import FieldProblem, Invalid, Problem

FOLLOW_EVERY_S = 5
# The way of a delivery that goes well: what is shown, and the states that it stands for.
WAY = [
    ("Placed", (Status.CREATED, Status.VALIDATED, Status.QUEUED)),
    ("Drone assigned", (Status.ASSIGNED, Status.MISSION_SUBMITTED)),
    ("Taken off", (Status.LAUNCHED,)),
    ("On the way", (Status.ENROUTE,)),
    ("At the door", (Status.ARRIVED, Status.DELIVERING)),
    ("Delivered", (Status.DELIVERED,)),
]


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def order(request: HttpRequest, caller: PageCaller, order_id: UUID) -> HttpResponse:
    """`?follow` loads itself again until the order is over; then it has no forms."""
    found = order_for(caller, order_id)
    if request.method == "POST":
        return _act(request, caller, found)
    return _story(request, caller, found)


@require_safe
@merchant_page
def label(request: HttpRequest, caller: PageCaller, order_id: UUID) -> HttpResponse:
    return label_of(order_for(caller, order_id))


@require_safe
@merchant_page
def record(request: HttpRequest, caller: PageCaller, order_id: UUID) -> HttpResponse:
    return record_of(order_id, caller)


@require_http_methods(["GET", "HEAD", "POST"])
@merchant_page
def renew_link(request: HttpRequest, caller: PageCaller, order_id: UUID) -> HttpResponse:
    found = order_for(caller, order_id)
    back = frame.address(request, "order", found.pk)
    if request.method == "POST":
        try:
            tracking_link.renew(found.pk, by=caller.actor)
        except Problem as refused:
            title = "The link was not renewed"
            return frame.notice(request, refused.status, title, refused.detail)
        frame.say(request, "The tracking link is new. The former one shows nothing any more.")
        return frame.see_other(back)
    customer = "" if found.is_terminal else " The customer gets the new one by message."
    context = {
        "title": "Renew the tracking link?",
        "text": f"Do this when strangers have the link. It stops at once.{customer}",
        "about": "The parcel keeps the short id on its label.",
        "button": "Renew it",
        "back": back,
    }
    return frame.page(request, "confirm.html", context, section="orders")


# --- the story -----------------------------------------------------------------------------------


def _story(
    request: HttpRequest,
    caller: PageCaller,
    order: Order,
    *,
    refused: Problem | None = None,
    **filled: Any,
) -> HttpResponse:
    """filled: forms with what was typed and their problems."""
    now = timezone.now()
    memory.attach([order], now)
    body = order_json(order, caller, now)
    follows = "follow" in request.GET and not order.is_terminal
    context = {
        "title": f"Order {words.name(body)}",
        "order": body,
        "name": words.name(body),
        "tracking_id": words.grouped(order.public_tracking_id),
        "state": words.state(body),
        "outlook": words.outlook(body, now),
        "timing": words.timing(body, now),
        "way": _way(order),
        "parcel": words.parcel(body),
        "parcel_since": words.since(body["custody"]["since"], now),
        "facts": _facts(order, body, now),
        "events": _events(order, caller, now),
        "proof": _proof(order, now),
        "scenario": order.get_test_scenario_display() if order.test_scenario else "",
        "is_over": order.is_terminal,
        "can_be_ready": _can_be_ready(order),
        "follow_s": FOLLOW_EVERY_S if follows else None,
        "refused": refused.detail if refused and not isinstance(refused, Invalid) else "",
        **({} if follows else _forms(order) | filled),
    }
    status = refused.status if refused else 200
    return frame.page(request, "order.html", context, section="orders", status=status)


def _way(order: Order) -> list[dict[str, Any]]:
    """The steps with how far the order is; empty for an order that ended in another way."""
    here = next((i for i, (_, states) in enumerate(WAY) if order.status in states), None)
    if here is None:
        return []
    is_delivered = order.status == Status.DELIVERED
    return [
        {"title": title, "done": i < here or is_delivered, "current": i == here}
        for i, (title, _) in enumerate(WAY)
    ]


def _facts(order: Order, body: OrderBody, now: datetime) -> list[tuple[str, Any]]:
    """The rest of the order, without what is not known."""
    times = {"parcel_ready_at": order.parcel_ready_at} | {name: body[name] for name in _TIMES}  # type: ignore[literal-required]
    at = {name: words.clock(moment, now) if moment else "" for name, moment in times.items()}
    note = order.cancel_note and f" ({order.cancel_note})"
    facts = [
        ("Customer", body["customer_name"]),
        ("Phone", body["customer_phone"]),
        ("E-mail", body["customer_email"]),
        ("Language", dict(settings.LANGUAGES).get(order.customer_language)),
        ("Address", body["dropoff_address"]),
        ("Instructions", body["dropoff_instructions"]),
        ("Drop point", _place(order.dropoff_lat, order.dropoff_lng)),
        ("Picked up at", "" if body["store_id"] else body["pickup_name"]),
        ("Pickup", _place(order.pickup_lat, order.pickup_lng)),
        ("Parcel", f"{order.get_payload_type_display()}, {order.payload_weight_kg:g} kg"),
        ("Size", _size(order.payload_size_cm)),
        ("Priority", order.get_priority_display()),
        ("Proof needed", order.get_pod_requirement_display()),
        ("Ready at", at["ready_at"]),
        ("Reported ready", at["parcel_ready_at"]),
        ("Not before", at["not_before"]),
        ("Deliver by", at["deliver_by"]),
        ("First expected", at["promised_at"]),
        ("Placed", at["created_at"]),
        ("Canceled because", order.cancel_reason and f"{order.get_cancel_reason_display()}{note}"),
        ("Your reference", body["external_id"]),
        ("Order id", str(order.pk)),
    ]
    return [(title, value) for title, value in facts if value]


_TIMES = ("ready_at", "not_before", "deliver_by", "promised_at", "created_at")


def _size(size_cm: list[float] | None) -> str:
    return " x ".join(f"{side:g}" for side in size_cm) + " cm" if size_cm else ""


def _place(lat: float, lng: float) -> str:
    return f"{lat:.5f}, {lng:.5f}"


def _events(order: Order, caller: PageCaller, now: datetime) -> list[dict[str, Any]]:
    """What happened, newest first, as the API tells the merchant."""
    told = [event_json(event, caller) for event in DeliveryEvent.objects.filter(order=order)]
    return [
        {
            "text": event["message"],
            "at": event["occurred_at"],
            "when": words.clock(event["occurred_at"], now),
            "tone": words.EVENT_TONE.get(event["type"], words.Tone.IDLE),
        }
        for event in reversed(told)
    ]


def _proof(order: Order, now: datetime) -> dict[str, Any] | None:
    """The proof with a link to its picture that lasts some minutes, as `GET /orders/{id}/pod`."""
    proof = ProofOfDelivery.objects.filter(order=order).first()
    if proof is None:
        return None
    image = reverse("pod-image", args=[proofs.image_token(proof)]) if proof.has_picture else ""
    return {
        "method": proof.get_method_display(),
        "confirmed_by": proof.confirmed_by,
        "when": words.clock(proof.created_at, now),
        "image": image,
        "link": proof.photo_url,
    }


# --- forms ---------------------------------------------------------------------------------------


def _forms(order: Order) -> dict[str, Any]:
    """The forms that the order's state allows."""
    allowed: dict[str, Any] = {}
    if order.status in TRANSITIONS["reschedule"].sources and not order.hold_code:
        allowed["reschedule_form"] = forms.RescheduleForm()
    if order.status in CANCELABLE:
        allowed["details_form"] = forms.DetailsForm.of(order)
        allowed["cancel_form"] = forms.CancelForm()
    return allowed


def _can_be_ready(order: Order) -> bool:
    """Whether it makes a difference to say that the parcel can be loaded."""
    is_asked = order.parcel_ready_at is None and order.holder == Holder.SENDER
    return is_asked and order.status in OPEN_BEFORE_LOADING


def _act(request: HttpRequest, caller: PageCaller, order: Order) -> HttpResponse:
    """Carry out a form and show the order again; after a refusal with its reason."""
    kinds: dict[str, tuple[type[Form], Callable[[PageCaller, Order, Any], str]]] = {
        "details": (forms.DetailsForm, _change_details),
        "ready": (Form, _ready),
        "reschedule": (forms.RescheduleForm, _reschedule),
        "cancel": (forms.CancelForm, _cancel),
        "advance": (Form, _advance),
    }
    name = request.POST.get("do", "")
    if name not in kinds:
        return _story(request, caller, order, refused=Problem("form_not_ours", "No such form."))
    kind, verb = kinds[name]
    form = kind(request.POST)
    try:
        if not form.is_valid():
            raise Invalid([])
        with readable_for(caller):
            said = verb(caller, order, form)
    except Problem as problem:
        if isinstance(problem, Invalid):
            forms.show(form, problem.errors, {})
        fresh = order_for(caller, order.pk)
        return _story(request, caller, fresh, refused=problem, **{f"{name}_form": form})
    frame.say(request, said)
    follow = "?follow" if "follow" in request.GET else ""
    return frame.see_other(frame.address(request, "order", order.pk) + follow)


def _advance(caller: PageCaller, order: Order, form: Form) -> str:
    testmode.advance(order.pk)
    return "The test order took its next step."


def _ready(caller: PageCaller, order: Order, form: Form) -> str:
    lifecycle.ready(order.pk, by=caller.actor)
    return "We know now that the parcel is ready."


def _change_details(caller: PageCaller, order: Order, form: forms.DetailsForm) -> str:
    wanted = OrderChange.valid(form.json())
    given = {name: stored(name, value) for name, value in wanted.items()}
    done = details.change_details(order.pk, given, by=caller.actor)
    if not done.changed:
        return "Nothing was changed."
    if done.order.public_tracking_id == order.public_tracking_id:
        return "The order is changed."
    return "The order is changed. Its tracking link is new, and the customer gets it by message."


def _cancel(caller: PageCaller, order: Order, form: forms.CancelForm) -> str:
    wanted = CancelInput.valid(form.cleaned_data)
    before_launch.cancel(
        order.pk, by=caller.actor, reason=CancelReason(wanted["reason"]), note=wanted["note"]
    )
    return "The order was canceled."


def _reschedule(caller: PageCaller, order: Order, form: forms.RescheduleForm) -> str:
    given = form.cleaned_data.items()
    window = NewWindow.valid({name: forms.instant(at) for name, at in given if at})
    if not window:
        message = "Give a start, an end, or both."
        raise Invalid([FieldProblem("not_before", "required", message)])
    done = before_launch.reschedule(
        order.pk,
        not_before=window.get("not_before"),
        deliver_by=window.get("deliver_by"),
        by=caller.actor,
    )
    return "The order has a new time." if done.changed else "The order has this time already."

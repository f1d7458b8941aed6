"""Proofs in the console: confirm by hand, unlock and renew codes, and missing proofs."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from orders.console import tabs
from orders.console.attention import RANK, about, by_rank, listed, page
from orders.models import Order
from orders.states import AT_THE_DROP_POINT, WITH_A_JOB, PodRequirement, Status
from pod import codes, proofs
from pod.models import OneTimeCode, ProofOfDelivery
from wingxtra.console import actions, registry, roles
from wingxtra.console.admin import duration
from wingxtra.console.attention.counting import each, worst
from wingxtra.console.look import Look
from wingxtra.console.registry import Attention, Section, add_section

# Most customers give their proof within this time.
GRACE_PERIOD = timedelta(minutes=2)

roles.seen_by_all("pod.view_proofofdelivery")


class ConfirmForm(actions.ActionForm):
    note = forms.CharField(
        label="How do you know?",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For example whom you spoke to. The proof shows it with your name.",
    )


def _confirm(order: Order, data: dict[str, Any], user: Any) -> str:
    name = user.get_full_name() or user.get_username()
    evidence = proofs.Evidence.confirmation(name, note=data["note"])
    proofs.record(order.pk, evidence, by=user.actor)
    return f"{name} confirmed the delivery of order {order}."


def _proof_of(order: Order) -> tuple[QuerySet[ProofOfDelivery]]:
    return (ProofOfDelivery.objects.filter(pk=order.pk).defer("strokes", "metadata"),)


def _code_of(order: Order) -> tuple[QuerySet[OneTimeCode]]:
    return (OneTimeCode.objects.filter(pk=order.pk),)


def _why_not_confirm(order: Order, proof: list[ProofOfDelivery]) -> str | None:
    if order.status not in (*AT_THE_DROP_POINT, Status.DELIVERED):
        return "Only once the drone is at the drop point."
    return "This order has its proof already." if proof else None


def _unlock(order: Order, data: dict[str, Any], user: Any) -> str:
    codes.unlock(order.pk, by=user.actor)
    return f"The code of order {order} has {OneTimeCode.MAX_TRIES} new tries."


def _why_not_unlock(order: Order, code: list[OneTimeCode]) -> str | None:
    if order.pod_requirement != PodRequirement.OTP:
        return "This order has no one-time code."
    return None if code and code[0].tries else "No wrong code was entered."


def _renew(order: Order, data: dict[str, Any], user: Any) -> actions.Secret:
    return actions.Secret(
        codes.renew(order.pk, by=user.actor),
        f"Order {order} has a new code; the old one is not valid any more.",
        "Read it to the recipient now: it is shown only once. If customers get messages, the one "
        "about the launch has it as well; in flight, “Send the code again” sends it.",
    )


def _why_not_renew(order: Order, code: list[OneTimeCode]) -> str | None:
    if order.is_terminal:
        return "The order is over."
    return None if code else "This order has no one-time code."


actions.register(
    actions.Action(
        model=Order,
        name="confirm",
        label="Confirm the delivery",
        permission="orders.change_order",
        form=ConfirmForm,
        carry_out=_confirm,
        why_not=_why_not_confirm,
        reads=_proof_of,
        explanation="Your statement is the proof. At the drop point it completes the delivery.",
    ),
    actions.Action(
        model=Order,
        name="unlock-code",
        label="Unlock the code",
        permission="orders.change_order",
        carry_out=_unlock,
        why_not=_why_not_unlock,
        reads=_code_of,
        explanation="Gives the recipient new tries with the same code.",
    ),
    actions.Action(
        model=Order,
        name="renew-code",
        label="New code",
        permission="orders.change_order",
        carry_out=_renew,
        why_not=_why_not_renew,
        reads=_code_of,
        explanation="For a recipient who has lost the code. The old code becomes invalid at once.",
        in_bulk=False,
    ),
)


def proof(
    order: Order, request: HttpRequest, proofs: list[ProofOfDelivery], codes: list[OneTimeCode]
) -> Section | None:
    recorded = proofs[0] if proofs else None
    if recorded is None and order.pod_requirement == PodRequirement.NONE:
        return None
    context = {
        "proof": recorded,
        "zone": order.service_area.zone,
        "in_full": request.user.has_perm("orders.view_personal_data"),
        "needed": order.get_pod_requirement_display(),
        "is_missing": order.proof_missing,
        "code": codes[0] if codes else None,
        "url": recorded and reverse("admin:pod_proofofdelivery_change", args=[order.pk]),
        "record_url": reverse("order-record", args=[order.pk]),
    }
    return Section("Proof of delivery", "console/order/proof.html", context)


def without_proof(now: datetime) -> QuerySet[Order]:
    return Order.objects.missing_proof().order_by("delivered_at")


def missing_proofs(look: Look) -> Iterator[Attention]:
    def item(order: Order) -> Attention:
        return Attention(
            key=f"proof:{order.pk}",
            level=5,
            text=f"Order {order} was delivered without its proof",
            detail=f"It needs: {order.get_pod_requirement_display().lower()}.",
            url=page(order),
            since=order.delivered_at,
            remedies=(actions.button(Order, "confirm", order.pk),),
            cause="proof",
            many="orders were delivered without their proof",
            all_url=listed("tab=attention"),
            about=about(order),
        )

    return each(look, without_proof, item)


def awaited(now: datetime) -> QuerySet[Any]:
    """With `has_proof` and `has_wrong_codes`."""
    waiting = Order.objects.awaiting_proof().filter(proof_awaited_since__lt=now - GRACE_PERIOD)
    with_proof = waiting.annotate(
        has_proof=Exists(ProofOfDelivery.objects.filter(pk=OuterRef("pk"))),
        has_wrong_codes=Exists(OneTimeCode.objects.filter(pk=OuterRef("pk"), tries__gt=0)),
    )
    return with_proof.select_related("current_job").order_by(by_rank(), "proof_awaited_since")


def awaited_proofs(look: Look) -> Iterator[Attention]:
    """Orders that the policy keeps in DELIVERING until their proof is there."""

    def item(order: Any) -> Attention:
        known = {"confirm": not order.has_proof, "unlock-code": order.has_wrong_codes}
        wait = look.at - (order.proof_awaited_since or look.at)
        needed = order.get_pod_requirement_display().lower()
        return Attention(
            key=f"awaited:{order.pk}",
            level=16 + min(9, int(wait.total_seconds() // 120)),
            text=f"{order.assigned_drone_id} has handed order {order} over; its proof is awaited",
            detail=f"It needs: {needed}. The drone reported the hand-over {duration(wait)} ago. "
            "Call the customer; the order is delivered once the proof or your word is there.",
            url=page(order),
            since=order.proof_awaited_since,
            remedies=actions.buttons(
                order, "delivered", "failed", "confirm", "unlock-code", known=known
            ),
            cause="awaited",
            many="orders were handed over and wait for their proof",
            all_url=listed("tab=attention"),
            about=about(order),
        )

    return each(look, awaited, item)


def locked(now: datetime) -> QuerySet[OneTimeCode]:
    """Codes that were entered wrongly too often, of orders that are on their way."""
    codes_of_open_orders = OneTimeCode.objects.filter(
        tries__gte=OneTimeCode.MAX_TRIES, order__status__in=WITH_A_JOB, order__live_mode=True
    )
    rows = codes_of_open_orders.select_related("order")
    return rows.order_by(by_rank("order__"), "order__deliver_by")


def locked_codes(look: Look) -> Iterator[Attention]:
    def item(code: OneTimeCode) -> Attention:
        order = code.order
        return Attention(
            key=f"code:{order.pk}",
            level=13 - 2 * RANK[order.priority],
            text=f"The code of order {order} is locked",
            detail=f"A wrong one was entered {code.tries} times. Call the customer, then unlock it "
            "or give out a new one.",
            url=page(order),
            remedies=tuple(
                actions.button(Order, name, order.pk) for name in ("unlock-code", "renew-code")
            ),
            cause="code",
            many="codes of customers are locked",
            all_url=listed("tab=attention"),
            about=about(order),
        )

    return each(look, locked, item)


add_section(Order, 70, proof, lambda order: (*_proof_of(order), *_code_of(order)))
tabs.needs_attention(awaited)
tabs.needs_attention(lambda now: locked(now).values("order"))
tabs.needs_attention(without_proof)
registry.add_attention(locked_codes, checks="no code of a customer is locked", reads=worst(locked))
registry.add_attention(
    awaited_proofs, checks="no delivery waits for its proof", reads=worst(awaited)
)
registry.add_attention(
    missing_proofs, checks="no proof of delivery is missing", reads=worst(without_proof)
)

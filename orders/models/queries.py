"""The questions that are asked about orders."""

import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Concat

from fleet.feasibility.rules import Rules
from orders.models import parcel
from orders.states import IN_FLIGHT, TERMINAL, Holder, Status
from wingxtra.accounts.identity import Caller, Role

if TYPE_CHECKING:
    from orders.models.order import Order  # noqa: F401 (named in quotes below)

# What a search looks through, as one text: so that one index answers it. A line break, which nobody
# searches for, keeps the end of one field and the begin of the next apart.
SEARCHED = Concat(
    "public_tracking_id",
    Value("\n"),
    "external_id",
    Value("\n"),
    "customer_name",
    Value("\n"),
    "customer_phone",
)


class OrderQuerySet(models.QuerySet["Order"]):
    def visible_to(self, caller: Caller) -> Self:
        """A merchant's own orders, or everything for our staff; nothing for anybody else.

        With a test key a merchant sees its test orders only, and otherwise never one of them.
        """
        if caller.role in (Role.OPS, Role.ADMIN):
            return self
        if caller.role == Role.MERCHANT and caller.merchant_id is not None:
            return self.filter(merchant_id=caller.merchant_id, live_mode=caller.live_mode)
        return self.none()

    def dispatchable(self) -> Self:
        """Queued orders of which no answer of a person is awaited."""
        return self.filter(status=Status.QUEUED, live_mode=True, hold_code="")

    def ready_for(self, rules: Rules, now: datetime) -> Self:
        """Orders whose parcel is ready by the time that a drone can be there: none waits at a
        pickup. Where the policy wants that, only those whose parcel was said to be ready.
        """
        said = Q(parcel_ready_at__isnull=False) | ~Q(holder=Holder.SENDER)
        if rules.ready_required:
            return self.filter(said)
        soonest = now + timedelta(seconds=rules.launch_time_s)
        return self.filter(said | Q(ready_at__isnull=True) | Q(ready_at__lte=soonest))

    def awaiting_an_answer(self) -> Self:
        """Orders whose parcel is not where it should be, or whose reports contradict each other."""
        return self.filter(parcel.AWAITS_AN_ANSWER)

    def matching(self, text: str) -> Self:
        """With this id, or with this text in tracking id, external id, customer's name or phone."""
        if "\n" in text:  # it stands between two fields, and in none of them
            return self.none()
        found = Q(searched__icontains=text)
        with suppress(ValueError):
            found |= Q(pk=uuid.UUID(text))
        return self.alias(searched=SEARCHED).filter(found)

    def live(self) -> Self:
        """Without test orders."""
        return self.filter(live_mode=True)

    def flying_themselves(self) -> Self:
        """Test orders that are not over, and whose time has come."""
        return self.filter(live_mode=False).exclude(status__in=[Status.VALIDATED, *TERMINAL])

    def due(self, now: datetime) -> Self:
        """Scheduled orders whose time has come."""
        return self.filter(status=Status.VALIDATED, not_before__lte=now)

    def in_flight(self) -> Self:
        return self.filter(status__in=IN_FLIGHT)

    def without_their_proof(self) -> Self:
        return self.filter(status=Status.DELIVERED, proof_missing=True, forgotten_at__isnull=True)

    def to_be_forgotten(self, over_since: datetime) -> Self:
        """Orders that were over then, and still have personal data."""
        return self.filter(
            status__in=TERMINAL, updated_at__lt=over_since, forgotten_at__isnull=True
        )

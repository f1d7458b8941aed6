"""Queries on orders."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Concat

from fleet.feasibility.rules import Rules
from orders.models import parcel, search
from orders.models.spot import waits_for_spot
from orders.states import IN_FLIGHT, TERMINAL, Holder, Scenario, Status
from wingxtra.accounts.identity import Caller, Role

if TYPE_CHECKING:
    from orders.models.order import Order  # noqa: F401 (named in quotes below)

# The searched fields as one text, so that one index answers a search. The line break between them
# keeps a search from matching across two fields.
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
        """A merchant's own orders, all orders for OPS and ADMIN, none for other callers.

        With a test key a merchant sees only its test orders, otherwise only its live ones.
        """
        if caller.role in (Role.OPS, Role.ADMIN):
            return self
        if caller.role == Role.MERCHANT and caller.merchant_id is not None:
            return self.filter(merchant_id=caller.merchant_id, live_mode=caller.live_mode)
        return self.none()

    def dispatchable(self) -> Self:
        """Queued live orders that are not on hold."""
        return self.filter(status=Status.QUEUED, live_mode=True, hold_code="")

    def ready_for(self, rules: Rules, now: datetime, to_pickup: timedelta = timedelta(0)) -> Self:
        """Orders whose parcel is ready when a drone can be there: after its take-off, or to_pickup
        from now. Those whose customer is asked for the exact spot just now are left out. If the
        policy requires it, only those whose parcel was reported ready.
        """
        asked = self.exclude(waits_for_spot(rules, now))
        reported_ready = Q(parcel_ready_at__isnull=False) | ~Q(holder=Holder.SENDER)
        if rules.ready_required:
            return asked.filter(reported_ready)
        soonest = now + max(timedelta(seconds=rules.launch_time_s), to_pickup)
        return asked.filter(reported_ready | Q(ready_at__isnull=True) | Q(ready_at__lte=soonest))

    def awaiting_staff(self) -> Self:
        """Orders whose parcel is not where it should be, or whose reports contradict each other."""
        return self.filter(parcel.AWAITS_STAFF)

    def matching(self, text: str, *, in_full: bool = True) -> Self:
        """With this id, or with each of these words in tracking id, external id, customer's name or
        phone. See `orders.models.search` for phone numbers, tracking ids and links.

        Not `in_full`: without name and phone. A search that finds by what a person may not read
        would tell it to them, digit by digit.
        """
        terms = search.terms_of(text)
        if terms is None:
            return self.none()
        found = self.matching_terms(terms)
        if in_full:
            return found
        # Beside the condition above, which has the index.
        return found.filter(
            _matches(
                terms,
                lambda word: Q(public_tracking_id__icontains=word) | Q(external_id__icontains=word),
            )
        )

    def matching_terms(self, terms: search.Terms) -> Self:
        return self.alias(searched=SEARCHED).filter(
            _matches(terms, lambda word: Q(searched__icontains=word))
        )

    def live(self) -> Self:
        """Without test orders."""
        return self.filter(live_mode=True)

    def open_tests(self) -> Self:
        """Open test orders whose start is due."""
        return self.filter(live_mode=False).exclude(status__in=[Status.VALIDATED, *TERMINAL])

    def due(self, now: datetime) -> Self:
        """Scheduled orders whose start is due."""
        return self.filter(status=Status.VALIDATED, not_before__lte=now)

    def in_flight(self) -> Self:
        return self.filter(status__in=IN_FLIGHT)

    def missing_proof(self) -> Self:
        return self.filter(status=Status.DELIVERED, proof_missing=True, forgotten_at__isnull=True)

    def proof_untold(self, delivered_before: datetime) -> Self:
        """Delivered before this time without their proof, and their merchants are not told yet.
        Test orders that play this do not wait for the time.
        """
        is_due = Q(delivered_at__lte=delivered_before) | Q(test_scenario=Scenario.PROOF_MISSING)
        return self.missing_proof().filter(is_due, proof_missed_at__isnull=True)

    def awaiting_proof(self) -> Self:
        """Handed over as the drone reports; the policy waits for the proof."""
        return self.filter(proof_awaited_since__isnull=False)

    def to_be_forgotten(self, ended_before: datetime) -> Self:
        """Orders that ended before this time and still have personal data."""
        return self.filter(
            status__in=TERMINAL, updated_at__lt=ended_before, forgotten_at__isnull=True
        )


def _matches(terms: search.Terms, has: Callable[[str], Q]) -> Q:
    matches = Q(*[has(word) for word in terms.words])
    for whole in terms.wholes:
        matches |= has(whole)
    return matches if terms.id is None else matches | Q(pk=terms.id)

"""Publishing pauses while ground control refuses the form of every mission.

When several orders are refused in a row and no mission is accepted between them, the orders are not
the cause: the intent version is wrong, or the bridge has a new rule. These attempts do not count. A
person resumes publishing.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, Max
from django.db.models.functions import Least
from django.utils import timezone

from dispatch.models import Mission, MissionPart, MissionQuerySet, PublishingPause
from orders.models import Order
from wingxtra.accounts.identity import Actor
from wingxtra.problems import Conflict

REFUSALS_TO_PAUSE = 3  # of different orders
REFUSAL_WINDOW = timedelta(hours=1)
REFUSALS_LOCK = 0x57_52  # an advisory lock
# The members that version 1 of the intent lacks.
MEMBERS_OF_VERSION_2 = (
    "schema_version",
    "alt_datum",
    "return_to",
    "alternate",
    "airspace_version",
    "operator_id",
    "LOAD",
)

log = structlog.get_logger(__name__)


def current() -> PublishingPause | None:
    return PublishingPause.objects.filter(ended_at__isnull=True).first()


def reason() -> str:
    """Why publishing is paused, empty if it is not."""
    pause = current()
    return f"Publishing is paused: {pause.because}" if pause else ""


def unless_paused(missions: MissionQuerySet) -> MissionQuerySet:
    return missions.filter(~Exists(PublishingPause.objects.filter(ended_at__isnull=True)))


@contextmanager
def recording_refusal(order_id: UUID) -> Iterator[None]:
    """One transaction for the recording of a refusal and `pause_after_refusals`. It waits for those
    of other refusals, so that each attempt is forgiven once.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [REFUSALS_LOCK])
        # The orders that may be changed, in id order, as every lock of orders.
        orders = Order.objects.select_for_update(no_key=True).order_by("pk")
        list(orders.filter(pk__in={order_id, *_refused_orders()}).values_list("pk", flat=True))
        yield


@transaction.atomic
def pause_after_refusals(order_id: UUID, why: str) -> None:
    """Pause after REFUSALS_TO_PAUSE refused orders. `why`: the bridge's status and text.

    A mission refused while publishing is paused costs its order no attempt either.
    """
    if current():
        _forgive([order_id])
        return
    refused = _refused_orders()
    orders = len(set(refused))
    if orders < REFUSALS_TO_PAUSE:
        return
    PublishingPause.objects.create(because=f"{why} {hint(why)}".strip()[:1000], refused=orders)
    _forgive(refused)
    log.error("publishing_paused", refused=orders, why=why)


def _forgive(refused: list[UUID]) -> None:
    """Forgive one attempt for each entry."""
    for order_id, times in sorted(Counter(refused).items()):
        Order.objects.filter(pk=order_id).update(
            attempts_forgiven=Least(F("attempts_forgiven") + times, F("attempts"))
        )


def resume(*, by: Actor) -> None:
    """Publish again, the oldest mission first. Raises Conflict when nothing is paused."""
    now = timezone.now()
    ended = PublishingPause.objects.filter(ended_at__isnull=True).update(
        ended_at=now, ended_by=str(by)[:180]
    )
    if not ended:
        raise Conflict("not_paused", "Publishing is not paused.")
    waiting = Mission.objects.filter(state=Mission.State.PENDING, parts__isnull=False)
    waiting.update(next_try_at=F("created_at"))
    log.info("publishing_resumed", by=str(by))


def hint(why: str) -> str:
    """Which setting to change, if the refusal names a member of the intent; else empty."""
    named = [member for member in MEMBERS_OF_VERSION_2 if re.search(rf"\b{member}\b", why)]
    if not named:
        return ""
    if settings.GCS_INTENT_VERSION == 1:
        return f"It names {', '.join(named)}: set GCS_INTENT_VERSION=2 to send that."
    return f"It names {', '.join(named)}: set GCS_INTENT_VERSION=1 to leave that out."


def _refused_orders() -> list[UUID]:
    """The orders of missions refused since the last acceptance, one entry per mission."""
    since = timezone.now() - REFUSAL_WINDOW
    # A flight to a base has another form: its acceptance says nothing about those of orders.
    recent = Mission.objects.filter(created_at__gt=since, parts__isnull=False)
    accepted_at = recent.aggregate(latest=Max("accepted_at"))["latest"]
    resumed_at = PublishingPause.objects.aggregate(latest=Max("ended_at"))["latest"]
    since = max(at for at in (since, accepted_at, resumed_at) if at is not None)
    refused = MissionPart.objects.filter(
        mission__state=Mission.State.REJECTED, mission__over_at__gt=since
    )
    return list(refused.values_list("order_id", flat=True))

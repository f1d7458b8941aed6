"""Ground control refuses the form of every mission: publishing stops until a person resumes it.

Several orders refused one after another, with no mission accepted between them, are no trouble of
these orders: a wrong version of the intent, a new rule of the bridge. Their attempts do not count.
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

REFUSALS_IN_A_ROW = 3  # of different orders
A_ROW_LASTS = timedelta(hours=1)
REFUSALS_LOCK = 0x57_52  # an advisory lock
# What version 1 of the intent leaves out.
MEMBERS_OF_VERSION_2 = (
    "schema_version",
    "alt_datum",
    "return_to",
    "alternate",
    "airspace_version",
    "LOAD",
)

log = structlog.get_logger(__name__)


def standing() -> PublishingPause | None:
    return PublishingPause.objects.filter(ended_at__isnull=True).first()


def words() -> str:
    """Why publishing stands still, empty when it does not."""
    pause = standing()
    return f"Publishing is paused: {pause.because}" if pause else ""


def unless_paused(missions: MissionQuerySet) -> MissionQuerySet:
    return missions.filter(~Exists(PublishingPause.objects.filter(ended_at__isnull=True)))


@contextmanager
def one_refusal_at_a_time() -> Iterator[None]:
    """Around writing a refusal down and `after_a_refusal`: each of them sees all before it, so that
    every attempt is forgiven once. The lock is the connection's and dies with it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [REFUSALS_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [REFUSALS_LOCK])


@transaction.atomic
def after_a_refusal(order_id: UUID, why: str) -> None:
    """Pause when this was the last of a row. `why` is what the bridge said, with its status.

    A mission that was on its way when the pause began does not count for its order either.
    """
    if standing():
        _forgive([order_id])
        return
    refused = _refused_in_a_row()
    orders = len(set(refused))
    if orders < REFUSALS_IN_A_ROW:
        return
    PublishingPause.objects.create(because=f"{why} {hint(why)}".strip()[:1000], refused=orders)
    _forgive(refused)
    log.error("publishing_paused", refused=orders, why=why)


def _forgive(refused: list[UUID]) -> None:
    """One attempt of its order for each entry."""
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
    Mission.objects.filter(state=Mission.State.PENDING).update(next_try_at=F("created_at"))
    log.info("publishing_resumed", by=str(by))


def hint(why: str) -> str:
    """The setting that helps, where the refusal names a member of the intent."""
    named = [member for member in MEMBERS_OF_VERSION_2 if re.search(rf"\b{member}\b", why)]
    if not named:
        return ""
    if settings.GCS_INTENT_VERSION == 1:
        return f"It names {', '.join(named)}: set GCS_INTENT_VERSION=2 to send that."
    return f"It names {', '.join(named)}: set GCS_INTENT_VERSION=1 to leave that out."


def _refused_in_a_row() -> list[UUID]:
    """The orders whose missions were refused since one was accepted, one entry for each mission."""
    since = timezone.now() - A_ROW_LASTS
    recent = Mission.objects.filter(created_at__gt=since)
    accepted_at = recent.aggregate(latest=Max("accepted_at"))["latest"]
    resumed_at = PublishingPause.objects.aggregate(latest=Max("ended_at"))["latest"]
    since = max(at for at in (since, accepted_at, resumed_at) if at is not None)
    refused = MissionPart.objects.filter(
        mission__state=Mission.State.REJECTED, mission__over_at__gt=since
    )
    return list(refused.values_list("order_id", flat=True))

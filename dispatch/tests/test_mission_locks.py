"""All who lock a mission and its part lock the mission first, so that none waits in a circle."""

import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection, transaction

from dispatch.missions import live_missions
from dispatch.missions.live_missions import mark_over
from dispatch.models import Mission, MissionPart
from dispatch.tests.support import assigned
from dispatch.tests.test_counters import until
from dispatch.tests.test_missions import closing
from orders.models import Order
from wingxtra.database.statements import Updates

pytestmark = pytest.mark.django_db(transaction=True)


def another_one_waits() -> bool:
    """Whether a transaction waits for a row that this one has changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks AS ours JOIN pg_locks AS theirs "
            "USING (locktype, transactionid) WHERE locktype = 'transactionid' "
            "AND ours.pid = pg_backend_pid() AND ours.granted AND NOT theirs.granted)"
        )
        (found,) = cursor.fetchone()
    return bool(found)


def ended_twice(order: Order, mission: Mission) -> list[OperationalError]:
    """A withdrawal that ground control confirms: the claim of the mission, then its end. A report
    ends it at the same time. Returns the database's errors.
    """
    is_claimed, failed = threading.Event(), list[OperationalError]()

    def withdraw() -> None:
        with transaction.atomic():
            Mission.objects.filter(pk=mission.pk).update(state=Mission.State.WITHDRAWN)
            is_claimed.set()
            until(another_one_waits)
            mark_over([order.current_job_id], by="gcs", because="Withdrawn.")

    def report() -> None:
        is_claimed.wait(10)
        mark_over([order.current_job_id], by="gcs", because="Reported: Failed.")

    def noting(verb: Callable[[], None]) -> None:
        try:
            verb()
        except OperationalError as error:
            failed.append(error)

    threads = [
        threading.Thread(target=closing(lambda verb=verb: noting(verb)))  # type: ignore[misc]
        for verb in (withdraw, report)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return failed


@pytest.fixture
def sent() -> tuple[Order, Mission]:
    """An order whose mission may be flown."""
    order, mission = assigned()
    Mission.objects.filter(pk=mission.pk).update(tries=1, live=True)
    MissionPart.objects.filter(mission=mission).update(live=True)
    return order, mission


def test_a_mission_is_reported_as_over_while_its_withdrawal_is_written(
    sent: tuple[Order, Mission],
) -> None:
    assert ended_twice(*sent) == []
    assert not Mission.objects.filter(over_at__isnull=True).exists()
    assert not MissionPart.objects.filter(live=True).exists()


def test_control_parts_before_missions_are_a_deadlock(
    sent: tuple[Order, Mission], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_missions, "_OVER", Updates(*reversed(live_missions._OVER._updates)))
    failed = ended_twice(*sent)
    assert ["deadlock detected" in str(error) for error in failed] == [True]

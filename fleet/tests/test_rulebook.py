"""The cached rulebook: never older than the last committed change."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet import pauses, policy, registry
from fleet.airspace import rulebook
from fleet.airspace.rulebook import Rulebook
from fleet.tests.factories import DroneFactory, ServiceAreaFactory
from wingxtra import redis_client
from wingxtra.accounts.identity import SYSTEM

pytestmark = pytest.mark.django_db(transaction=True)


def current() -> Rulebook:
    return rulebook.current(timezone.now())


def statements_of(read: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        read()
    return len(captured)


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Runs a task in another thread with its own cache and connection, like another process."""
    with ThreadPoolExecutor(1) as pool:

        def run(task: Callable[[], Any]) -> Any:
            return pool.submit(task).result()

        yield run
        run(lambda: connection.close())  # that thread's connection


def test_the_rulebook_is_loaded_once_without_changes() -> None:
    DroneFactory()
    assert statements_of(current) > 0
    assert statements_of(current) == 0
    assert current() is current()


CHANGES: dict[str, Callable[[Any], Any]] = {
    "policy": lambda _: policy.change(by=SYSTEM, detour_factor=1.31),
    "new drone": lambda _: DroneFactory(),
    "grounded drone": lambda drone: registry.ground(drone.pk, by=SYSTEM, reason="Propeller."),
    "new area": lambda _: ServiceAreaFactory(),
    "moved area": lambda drone: drone.hub.service_area.save(),
    "hub": lambda drone: drone.hub.save(),
    "kind": lambda drone: drone.kind.save(),
    "paused area": lambda drone: pauses.set_area(
        drone.hub.service_area, paused=True, by=SYSTEM, reason="Storm."
    ),
    "deleted hub": lambda _: DroneFactory().hub.delete,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_invalidates_every_threads_cache(
    change: Callable[[Any], Any], elsewhere: Callable[[Callable[[], Any]], Any]
) -> None:
    drone = DroneFactory()
    here, there = current(), elsewhere(current)
    assert elsewhere(current) is there
    change(drone)
    assert current() is not here
    assert elsewhere(current) is not there


def test_a_rolled_back_change_is_not_cached(
    elsewhere: Callable[[Callable[[], Any]], Any],
) -> None:
    areas = len(current().areas)
    with transaction.atomic():
        ServiceAreaFactory()
        assert len(current().areas) == areas + 1
        assert len(elsewhere(current).areas) == areas
        transaction.set_rollback(True)
    assert len(current().areas) == areas


def test_without_redis_the_rulebook_is_loaded_each_time(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    current()
    monkeypatch.setattr(redis_client, "_paused_until", 0.0)  # restored for the next test
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    redis_client.client.cache_clear()
    try:
        with pytest.raises(redis.ConnectionError):
            redis_client.client().ping()
        assert statements_of(current) > 0
        DroneFactory()  # the change succeeds although the stamp cannot be renewed
        assert statements_of(current) > 0
    finally:
        redis_client.client.cache_clear()


def test_threads_do_not_share_a_rulebook(elsewhere: Callable[[Callable[[], Any]], Any]) -> None:
    """GEOS crashes the process if two threads use a shape for the first time concurrently."""
    here, there = current(), elsewhere(current)
    assert here is not there
    assert here.zone_shapes is not there.zone_shapes

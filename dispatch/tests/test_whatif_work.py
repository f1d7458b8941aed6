"""Who computes a what-if: by a worker, one at a time, and what becomes of it when that dies."""

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta

import dramatiq
import pytest
from django.db import connection
from django.utils import timezone
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from dispatch import actors
from dispatch.models import WhatIf
from dispatch.tests.whatif_day import asked, rush
from dispatch.whatif import presentation, questions
from dispatch.whatif import worker as whatif_work
from fleet.models import DroneKind
from fleet.tests.factories import HubFactory
from wingxtra.broker import schedule
from wingxtra.outbox import Claim

State = WhatIf.State
NO_LOOK = {"look_ahead_s": 0.0}


@pytest.fixture
def worker() -> Iterator[dramatiq.Worker]:
    worker = dramatiq.Worker(
        dramatiq.get_broker(), queues={"what_ifs"}, worker_threads=2, worker_timeout=50
    )
    worker.start()
    yield worker
    worker.stop()


def state_of(what_if: WhatIf) -> str:
    return WhatIf.objects.get(pk=what_if.pk).state


def claimed(what_if: WhatIf) -> Claim[WhatIf]:
    claim = whatif_work._claimed(what_if.pk)
    assert claim is not None
    return claim


def next_due(now: datetime) -> WhatIf | None:
    return WhatIf.objects.due(now).first()


def let_die(what_if: WhatIf) -> None:
    """As when the worker is killed: nobody says any more that it lives."""
    WhatIf.objects.filter(pk=what_if.pk).update(claimed_until=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_a_worker_simulates_what_was_asked(worker):
    what_if = asked(rush(10, drones=2), rules=NO_LOOK)
    actors.compute_what_if.send(str(what_if.pk))
    dramatiq.get_broker().join("what_ifs", timeout=30_000)
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert (answer.state, answer.progress_pct, answer.claimed_until) == (State.DONE, 100, None)
    assert answer.results["in_the_day"] == 10


@pytest.mark.django_db(transaction=True)
def test_a_lost_hint_is_found_by_the_sweep(worker):
    what_if = asked(rush(3, drones=1), rules=NO_LOOK)
    assert actors.sweep_what_ifs in [tick.actor for tick in schedule]
    actors.sweep_what_ifs.fn()
    dramatiq.get_broker().join("what_ifs", timeout=30_000)
    assert state_of(what_if) == State.DONE


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_told_to_stop_gives_it_back_at_once(worker):
    what_if = asked(rush(400, drones=3), rules=NO_LOOK)
    actors.compute_what_if.send(str(what_if.pk))
    until = time.monotonic() + 30
    while not WhatIf.objects.get(pk=what_if.pk).progress_pct:
        assert time.monotonic() < until, "nobody has begun it"
        time.sleep(0.05)
    stopped_at = time.monotonic()
    worker.stop()
    assert time.monotonic() - stopped_at < 10
    assert state_of(what_if) == State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_it_is_simulated():
    what_if = asked(rush(5, drones=1), rules=NO_LOOK)
    seen: list[tuple[bool, str]] = []

    def look(share: float) -> None:
        connection.ensure_connection()
        status = connection.connection.info.transaction_status.name
        seen.append((connection.in_atomic_block, status))

    questions.results(what_if, look)
    assert set(seen) == {(False, "IDLE")}


@pytest.mark.django_db(transaction=True)
def test_it_says_how_far_it_is():
    what_if = asked(rush(5, drones=1), rules=NO_LOOK)
    whatif_work._Beat(claimed(what_if))(0.42)
    assert WhatIf.objects.get(pk=what_if.pk).progress_pct == 42


@pytest.mark.django_db(transaction=True)
def test_one_is_simulated_at_a_time():
    area = rush(3, drones=1)
    first, second = asked(area, rules=NO_LOOK), asked(area, rules=NO_LOOK)
    assert next_due(timezone.now()) == first
    claimed(first)
    assert next_due(timezone.now()) is None
    whatif_work.compute(second.pk)
    assert state_of(second) == State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_take_two_at_once():
    area = rush(3, drones=1)
    both = [asked(area, rules=NO_LOOK) for _ in range(2)]
    start, took = threading.Barrier(2), []

    def take(what_if: WhatIf) -> None:
        start.wait()
        took.append(whatif_work._claimed(what_if.pk) is not None)
        connection.close()

    threads = [threading.Thread(target=take, args=(what_if,)) for what_if in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(took) == [False, True]


@pytest.mark.django_db
def test_what_a_dead_worker_left_is_taken_up_again_before_the_others():
    area = rush(3, drones=1)
    waits, begun = asked(area, rules=NO_LOOK), asked(area, rules=NO_LOOK)
    claimed(begun)
    let_die(begun)
    assert next_due(timezone.now()) == begun
    whatif_work.compute(begun.pk)
    assert state_of(begun) == State.DONE
    assert next_due(timezone.now()) == waits


@pytest.mark.django_db
def test_what_ends_its_worker_each_time_is_given_up_with_a_sentence():
    what_if = asked(rush(3, drones=1), rules=NO_LOOK)
    for _ in range(whatif_work.MOST_TRIES):
        assert next_due(timezone.now()) == what_if
        claimed(what_if)
        let_die(what_if)
        whatif_work.give_up_dead(timezone.now() - timedelta(seconds=1))
    whatif_work.give_up_dead(timezone.now())
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert answer.state == State.FAILED
    assert answer.problem.startswith("The worker that simulated it stopped 3 times")
    assert next_due(timezone.now()) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raised", "state", "words"),
    [
        (TimeLimitExceeded, State.FAILED, "It was stopped after 30 minutes"),
        (Shutdown, State.QUEUED, ""),
        (RuntimeError, State.FAILED, "Something went wrong that is not your fault"),
    ],
)
def test_however_it_ends_the_row_says_so(monkeypatch, raised, state, words):
    """Time over, the worker told to stop, or a fault of ours: it never stays “running”."""
    what_if = asked(rush(3, drones=1), rules=NO_LOOK)

    def ends(*_: object) -> None:
        raise raised

    monkeypatch.setattr(questions, "results", ends)
    with pytest.raises(RuntimeError) if raised is RuntimeError else nullcontext():
        whatif_work.compute(what_if.pk)
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert (answer.state, answer.claimed_until) == (state, None)
    assert answer.problem.startswith(words)


@pytest.mark.django_db
def test_a_fleet_that_went_away_meanwhile_is_a_sentence():
    area = rush(3, drones=1)
    what_if = asked(area, rules=NO_LOOK)
    area.hubs.get().drones.update(active=False)
    whatif_work.compute(what_if.pk)
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert answer.state == State.FAILED
    assert "No drone is in service there any more" in answer.problem


@pytest.mark.django_db
def test_a_hub_that_was_deleted_meanwhile_is_a_sentence():
    area = rush(3, drones=1)
    new = HubFactory(service_area=area)
    what_if = asked(area, more_drones=1, hub=new, kind=DroneKind.objects.get())
    new.delete()
    whatif_work.compute(what_if.pk)
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert answer.state == State.FAILED
    assert "has been deleted meanwhile. Ask again." in answer.problem
    assert presentation.changed(answer)[0].startswith("1 more drone at a hub that is gone")


def test_simulating_lets_everything_else_go_first():
    broker = dramatiq.get_broker()
    others = [a for a in broker.actors.values() if a is not actors.compute_what_if]
    assert actors.compute_what_if.queue_name == "what_ifs"
    assert all(other.priority < actors.compute_what_if.priority for other in others)

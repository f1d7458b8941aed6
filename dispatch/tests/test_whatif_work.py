"""Workers compute what-ifs, one at a time; the what-ifs of dead workers are taken up again."""

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
    """Let the claim expire, as after the death of its worker."""
    WhatIf.objects.filter(pk=what_if.pk).update(claimed_until=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_a_worker_simulates_a_question(worker):
    what_if = asked(rush(10, drones=2), rules=NO_LOOK)
    actors.compute_what_if.send(str(what_if.pk))
    dramatiq.get_broker().join("what_ifs", timeout=30_000)
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert (answer.state, answer.progress_pct, answer.claimed_until) == (State.DONE, 100, None)
    assert answer.results["in_the_day"] == 10


@pytest.mark.django_db(transaction=True)
def test_the_sweep_finds_a_question_whose_job_was_lost(worker):
    what_if = asked(rush(3, drones=1), rules=NO_LOOK)
    assert actors.sweep_what_ifs in [tick.actor for tick in schedule]
    actors.sweep_what_ifs.fn()
    dramatiq.get_broker().join("what_ifs", timeout=30_000)
    assert state_of(what_if) == State.DONE


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_shuts_down_returns_its_what_if(worker):
    what_if = asked(rush(400, drones=3), rules=NO_LOOK)
    actors.compute_what_if.send(str(what_if.pk))
    until = time.monotonic() + 30
    while not WhatIf.objects.get(pk=what_if.pk).progress_pct:
        assert time.monotonic() < until, "the simulation has not started"
        time.sleep(0.05)
    stopped_at = time.monotonic()
    worker.stop()
    assert time.monotonic() - stopped_at < 10
    assert state_of(what_if) == State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_during_the_simulation():
    what_if = asked(rush(5, drones=1), rules=NO_LOOK)
    states: list[tuple[bool, str]] = []

    def check(share: float) -> None:
        connection.ensure_connection()
        status = connection.connection.info.transaction_status.name
        states.append((connection.in_atomic_block, status))

    questions.results(what_if, check)
    assert set(states) == {(False, "IDLE")}


@pytest.mark.django_db(transaction=True)
def test_the_heartbeat_writes_the_progress():
    what_if = asked(rush(5, drones=1), rules=NO_LOOK)
    whatif_work._Heartbeat(claimed(what_if))(0.42)
    assert WhatIf.objects.get(pk=what_if.pk).progress_pct == 42


@pytest.mark.django_db(transaction=True)
def test_one_what_if_is_simulated_at_a_time():
    area = rush(3, drones=1)
    first, second = asked(area, rules=NO_LOOK), asked(area, rules=NO_LOOK)
    assert next_due(timezone.now()) == first
    claimed(first)
    assert next_due(timezone.now()) is None
    whatif_work.compute(second.pk)
    assert state_of(second) == State.QUEUED


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_two_what_ifs():
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
def test_an_expired_claim_is_taken_before_queued_what_ifs():
    area = rush(3, drones=1)
    waits, begun = asked(area, rules=NO_LOOK), asked(area, rules=NO_LOOK)
    claimed(begun)
    let_die(begun)
    assert next_due(timezone.now()) == begun
    whatif_work.compute(begun.pk)
    assert state_of(begun) == State.DONE
    assert next_due(timezone.now()) == waits


@pytest.mark.django_db
def test_a_what_if_whose_workers_died_three_times_fails():
    what_if = asked(rush(3, drones=1), rules=NO_LOOK)
    for _ in range(whatif_work.MAX_TRIES):
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
    ("raised", "state", "problem"),
    [
        (TimeLimitExceeded, State.FAILED, "It was stopped after 30 minutes"),
        (Shutdown, State.QUEUED, ""),
        (RuntimeError, State.FAILED, "The simulation failed with an internal error"),
    ],
)
def test_each_kind_of_end_is_written_to_the_row(monkeypatch, raised, state, problem):
    """After a time limit, a shutdown or an error it does not stay RUNNING."""
    what_if = asked(rush(3, drones=1), rules=NO_LOOK)

    def ends(*_: object) -> None:
        raise raised

    monkeypatch.setattr(questions, "results", ends)
    with pytest.raises(RuntimeError) if raised is RuntimeError else nullcontext():
        whatif_work.compute(what_if.pk)
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert (answer.state, answer.claimed_until) == (state, None)
    assert answer.problem.startswith(problem)


@pytest.mark.django_db
def test_a_what_if_fails_when_no_drone_is_in_service_any_more():
    area = rush(3, drones=1)
    what_if = asked(area, rules=NO_LOOK)
    area.hubs.get().drones.update(active=False)
    whatif_work.compute(what_if.pk)
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert answer.state == State.FAILED
    assert "No drone is in service in this area" in answer.problem


@pytest.mark.django_db
def test_a_what_if_fails_when_its_hub_was_deleted():
    area = rush(3, drones=1)
    new = HubFactory(service_area=area)
    what_if = asked(area, more_drones=1, hub=new, kind=DroneKind.objects.get())
    new.delete()
    whatif_work.compute(what_if.pk)
    answer = WhatIf.objects.get(pk=what_if.pk)
    assert answer.state == State.FAILED
    assert "was deleted after you asked. Ask again." in answer.problem
    assert presentation.changed(answer)[0].startswith("1 more drone at a hub that was deleted")


def test_what_ifs_have_the_lowest_priority():
    broker = dramatiq.get_broker()
    others = [a for a in broker.actors.values() if a is not actors.compute_what_if]
    assert actors.compute_what_if.queue_name == "what_ifs"
    assert all(other.priority < actors.compute_what_if.priority for other in others)

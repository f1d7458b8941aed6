"""The schedule: its actors and their periods."""

from wingxtra.broker import load_actors, schedule

# Seconds between two ticks.
EVERY_S = {
    "count_flights": 10,
    "enqueue_due": 5,
    "forecast_areas": 5,
    "fly_test_orders": 1,
    "follow_without_pictures": 2,
    "forget_acknowledgements": 3600,
    "forget_bulk_actions": 3600,
    "forget_customers": 3600,
    "forget_decisions": 3600,
    "forget_expired_tokens": 3600,
    "forget_known_addresses": 3600,
    "forget_old_alerts": 3600,
    "forget_old_answers": 600,
    "forget_wrong_passwords": 3600,
    "keep_histories": 3600,
    "look_for_alerts": 5,
    "miss_proofs": 60,
    "place_recurring": 30,
    "plan_areas": 5,
    "poll": 1,
    "sweep_alerts": 5,
    "sweep_bulk_actions": 5,
    "sweep_clearances": 2,
    "sweep_messages": 5,
    "sweep_photos": 60,
    "sweep_missions": 2,
    "sweep_repositions": 2,
    "sweep_webhooks": 5,
    "sweep_what_ifs": 5,
    "tell_of_arrivals": 10,
    "tell_of_delays": 15,
    "watch_missions": 2,
    "watch_weather": 30,
}


def test_the_schedule_has_exactly_these_actors_and_periods() -> None:
    load_actors()
    # Tests of the broker add their own actors to it.
    ours = [tick for tick in schedule if ".tests." not in tick.actor.fn.__module__]
    assert {tick.actor.actor_name: tick.every_s for tick in ours} == EVERY_S
    assert len(ours) == len(EVERY_S)

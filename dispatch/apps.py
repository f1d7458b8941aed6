from django.apps import AppConfig


class DispatchConfig(AppConfig):
    name = "dispatch"
    verbose_name = "Dispatch"

    def ready(self) -> None:
        from dispatch import actors, errands, forgetting
        from dispatch.missions import bridge, discrepancies, live_missions
        from dispatch.missions.records import writing
        from dispatch.models import DispatchDecision
        from dispatch.occurrences import holds
        from fleet import work
        from fleet.live import picture
        from orders import lifecycle
        from orders.personal_data import retention
        from wingxtra.database import partitions
        from wingxtra.observability import health

        work.register_missions(errands.errands_of, errands.landings, errands.supervised)
        work.register_flights(errands.flown_since)
        # Before the missions are over: a record reads whether the drone stands.
        lifecycle.recorded.connect(writing.write)
        lifecycle.recorded.connect(live_missions.update_missions)
        lifecycle.recorded.connect(discrepancies.settle_answered)
        lifecycle.recorded.connect(actors.enqueue_sends)
        picture.renewed.connect(actors.follow_new_picture)
        retention.forgetting.connect(forgetting.forget)
        retention.register_hold(holds.held_orders)
        partitions.register(
            partitions.History(
                DispatchDecision,
                "decided_at",
                forgetting.decisions_kept_since,
                held=holds.held_orders,
                together="run_id",
            )
        )
        health.dispatching.register("bridge", bridge.readiness, needs=("redis",))

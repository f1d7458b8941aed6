from django.apps import AppConfig


class DispatchConfig(AppConfig):
    name = "dispatch"
    verbose_name = "Dispatch"

    def ready(self) -> None:
        from dispatch import actors, forgetting
        from dispatch.missions import bridge, discrepancies, live_missions
        from orders import lifecycle
        from orders.personal_data import retention
        from wingxtra.observability import health

        lifecycle.recorded.connect(live_missions.keep_in_step)
        lifecycle.recorded.connect(discrepancies.keep_in_step)
        lifecycle.recorded.connect(actors.hurry)
        retention.forgetting.connect(forgetting.forget)
        health.dispatching.register("bridge", bridge.readiness, needs=("redis",))

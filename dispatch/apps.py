from django.apps import AppConfig


class DispatchConfig(AppConfig):
    name = "dispatch"
    verbose_name = "Dispatch"

    def ready(self) -> None:
        from dispatch import actors, bridge, missions
        from orders import lifecycle
        from wingxtra import health

        lifecycle.recorded.connect(missions.keep_in_step)
        lifecycle.recorded.connect(actors.hurry)
        health.register("bridge", bridge.readiness)

from django.apps import AppConfig


class TrackingConfig(AppConfig):
    name = "tracking"
    verbose_name = "Tracking"

    def ready(self) -> None:
        from orders import lifecycle
        from tracking import actors

        lifecycle.recorded.connect(actors.tell_merchants)

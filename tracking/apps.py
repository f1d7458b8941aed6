from django.apps import AppConfig


class TrackingConfig(AppConfig):
    name = "tracking"
    verbose_name = "Tracking"

    def ready(self) -> None:
        from orders import lifecycle, retention
        from tracking import actors, forgetting

        lifecycle.recorded.connect(actors.tell_merchants)
        retention.forgetting.connect(forgetting.forget)

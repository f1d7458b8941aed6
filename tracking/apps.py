from django.apps import AppConfig


class TrackingConfig(AppConfig):
    name = "tracking"
    verbose_name = "Tracking"

    def ready(self) -> None:
        from orders import lifecycle
        from orders.personal_data import retention
        from pod import evidence
        from tracking import actors, forgetting
        from tracking.page import flown

        lifecycle.recorded.connect(actors.tell_merchants)
        # After `pod.codes`, whose codes it keeps: apps are made ready in the order of settings.
        lifecycle.recorded.connect(actors.tell_customers)
        retention.forgetting.connect(forgetting.forget)
        evidence.flight_paths.append(flown.way_of)

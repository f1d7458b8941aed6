from django.apps import AppConfig


class TrackingConfig(AppConfig):
    name = "tracking"
    verbose_name = "Tracking"

    def ready(self) -> None:
        from orders import lifecycle
        from orders.personal_data import retention
        from pod import evidence
        from tracking import actors, forgetting
        from tracking.models import WebhookDelivery
        from tracking.page import cache, flown
        from tracking.webhooks import deliveries
        from wingxtra.database import partitions

        lifecycle.recorded.connect(actors.write_webhooks)
        # Must run after the receiver of `pod.codes`, whose codes it stores. Apps get ready in the
        # order of INSTALLED_APPS.
        lifecycle.recorded.connect(actors.write_messages)
        lifecycle.recorded.connect(cache.drop_changed)
        retention.forgetting.connect(forgetting.forget)
        partitions.register(
            partitions.History(WebhookDelivery, "created_at", deliveries.kept_since)
        )
        evidence.flight_paths.append(flown.way_of)

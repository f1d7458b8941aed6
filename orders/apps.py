from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from django.db.models.signals import post_save

        from fleet import work
        from fleet.models import ServiceArea
        from orders import journal, lifecycle
        from orders.models import DeliveryEvent, drone_work
        from orders.personal_data import retention
        from orders.recurring import verbs
        from wingxtra.database import partitions

        work.register(drone_work.jobs_of, drone_work.parcels_of)
        lifecycle.recorded.connect(journal.log_events)
        partitions.register(
            partitions.History(DeliveryEvent, "created_at", held=retention.held_orders)
        )
        post_save.connect(verbs.look_again, sender=ServiceArea)

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from django.db.models.signals import post_save

        from fleet import work
        from fleet.models import ServiceArea
        from orders import journal, lifecycle
        from orders.models import drone_work
        from orders.recurring import verbs

        work.register(drone_work.active_jobs, drone_work.carrying)
        lifecycle.recorded.connect(journal.log_events)
        post_save.connect(verbs.look_again, sender=ServiceArea)

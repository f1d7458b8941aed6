from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from fleet import work
        from orders import journal, lifecycle
        from orders.models import drone_work

        work.register(drone_work.active_jobs, drone_work.carrying)
        lifecycle.recorded.connect(journal.log_events)

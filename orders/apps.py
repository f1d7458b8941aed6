from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = "Orders"

    def ready(self) -> None:
        from orders import journal, lifecycle

        lifecycle.recorded.connect(journal.tell)

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "wingxtra.api"
    label = "api"
    verbose_name = "API"

    def ready(self) -> None:
        from wingxtra.api import schema  # noqa: F401 (the import registers the extensions)

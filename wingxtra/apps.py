from django.apps import AppConfig


class WingxtraConfig(AppConfig):
    name = "wingxtra"
    verbose_name = "Wingxtra"

    def ready(self) -> None:
        from wingxtra import checks  # noqa: F401 (importing them registers them)

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class WingxtraConfig(AppConfig):
    name = "wingxtra"
    verbose_name = "Wingxtra"

    def ready(self) -> None:
        from wingxtra import checks  # noqa: F401 (the import registers the checks)

        autodiscover_modules("metrics")

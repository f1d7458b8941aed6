from django.apps import AppConfig


class WingxtraConfig(AppConfig):
    name = "wingxtra"
    verbose_name = "Wingxtra"

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules


class ConsoleConfig(AppConfig):
    name = "wingxtra.console"
    label = "console"
    verbose_name = "Console"

    def ready(self) -> None:
        from wingxtra.console import roles
        from wingxtra.console.attention import machinery  # noqa: F401
        from wingxtra.console.bulk import pages  # noqa: F401

        autodiscover_modules("console")
        # Not a data migration: a flush of a test database would delete its rows for good.
        post_migrate.connect(roles.seed_groups)


class ConsoleAdminConfig(AdminConfig):
    default_site = "wingxtra.console.site.ConsoleSite"

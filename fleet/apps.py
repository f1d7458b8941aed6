from django.apps import AppConfig
from django.db.models.signals import post_migrate


class FleetConfig(AppConfig):
    name = "fleet"
    verbose_name = "Fleet"

    def ready(self) -> None:
        from fleet import policy
        from fleet.airspace import rulebook
        from fleet.live import drone_status, picture
        from wingxtra.observability import health

        # Not in a migration: flushing a test database would delete that row.
        post_migrate.connect(policy.ensure_first_version, sender=self)
        rulebook.VERSION.bump_on_write(*rulebook.CACHED_MODELS)
        health.dispatching.register("fleet_picture", picture.check, needs=("database", "redis"))
        health.dispatching.register(
            "fleet_fields", drone_status.check_fields, needs=("database", "redis")
        )

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

        # A migration's row would be gone after every flush of a test database; this one is not.
        post_migrate.connect(policy.ensure_first_version, sender=self)
        rulebook.VERSION.bump_on_write(*rulebook.WRITTEN_IN_IT)
        health.dispatching.register("fleet_picture", picture.check, needs=("database", "redis"))
        health.dispatching.register(
            "fleet_fields", drone_status.check_fields, needs=("database", "redis")
        )

from django.apps import AppConfig


class PodConfig(AppConfig):
    name = "pod"
    verbose_name = "Proof"

    def ready(self) -> None:
        from orders import lifecycle
        from pod import codes

        lifecycle.recorded.connect(codes.issue_codes)

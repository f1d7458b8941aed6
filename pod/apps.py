from django.apps import AppConfig


class PodConfig(AppConfig):
    name = "pod"
    verbose_name = "Proof"

    def ready(self) -> None:
        from orders import lifecycle
        from orders.personal_data import retention
        from pod import codes, forgetting

        lifecycle.recorded.connect(codes.issue_codes)
        retention.forgetting.connect(forgetting.forget)

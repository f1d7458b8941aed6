from django.apps import AppConfig


class PodConfig(AppConfig):
    name = "pod"
    verbose_name = "Proof"

    def ready(self) -> None:
        from orders import lifecycle
        from orders.personal_data import retention
        from pod import codes, forgetting, testmode

        lifecycle.recorded.connect(codes.issue_codes)
        lifecycle.recorded.connect(testmode.photograph)
        retention.forgetting.connect(forgetting.forget)

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "wingxtra.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from wingxtra.accounts import authentication, models

        authentication.STAMP.renew_with(models.ApiKey, models.Merchant)

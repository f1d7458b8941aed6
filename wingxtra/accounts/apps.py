from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "wingxtra.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from wingxtra.accounts import authentication, models

        authentication.VERSION.bump_on_write(models.ApiKey, models.Merchant)

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "wingxtra.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in

        from wingxtra.accounts import authentication, lockout, models

        authentication.VERSION.bump_on_write(models.ApiKey, models.Merchant)
        user_logged_in.connect(lockout.note_login)

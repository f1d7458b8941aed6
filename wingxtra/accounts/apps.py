from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "wingxtra.accounts"
    label = "accounts"
    verbose_name = "Accounts"

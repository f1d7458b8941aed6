"""Who may log in by a name and a password."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.forms import AuthenticationForm as DjangoAuthenticationForm
from unfold.forms import AuthenticationForm

from wingxtra.accounts.models import User
from wingxtra.console import registry


class LoginForm(AuthenticationForm):
    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        """Staff, and those whose role has a page of its own outside the console."""
        if isinstance(user, User) and user.role in registry.homes:
            DjangoAuthenticationForm.confirm_login_allowed(self, user)
        else:
            super().confirm_login_allowed(user)

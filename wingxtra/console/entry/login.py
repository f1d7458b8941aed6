"""The login form of the console."""

from typing import cast

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.forms import AuthenticationForm as DjangoAuthenticationForm
from unfold.forms import AuthenticationForm

from wingxtra.accounts.login_form import BoundedLoginForm
from wingxtra.accounts.models import User
from wingxtra.console import registry


class LoginForm(BoundedLoginForm, AuthenticationForm):
    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        """Allows staff, and roles that have a home page outside the console."""
        person = cast(User, user)
        if person.role in registry.home_pages:
            DjangoAuthenticationForm.confirm_login_allowed(self, person)
        else:
            super().confirm_login_allowed(person)

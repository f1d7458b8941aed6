"""Limits of what the login forms of console and merchants read."""

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.validators import MaxLengthValidator

NAME_LENGTH = 150
# Hashing takes longer for a longer one.
PASSWORD_LENGTH = 1000


class BoundedLoginForm(AuthenticationForm):
    """Django's form has no limits, and a name is longer once it is normalized (NFKC)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, limit in (("username", NAME_LENGTH), ("password", PASSWORD_LENGTH)):
            self.fields[name].validators.append(MaxLengthValidator(limit))

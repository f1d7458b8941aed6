"""Login, logout and the change of the password."""

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse_lazy

from tracking.merchant import frame
from tracking.merchant.access import PageCaller, merchant_page, where_to
from wingxtra.accounts import lockout
from wingxtra.accounts.identity import Role
from wingxtra.accounts.login_form import BoundedLoginForm
from wingxtra.accounts.models import User


class LoginForm(BoundedLoginForm):
    error_messages = {
        "invalid_login": "This user name and password do not match. Letter case matters in both.",
        "inactive": "This account was switched off. Please ask us to switch it on.",
    }

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        """Runs after the right password, so its answer tells strangers nothing."""
        person = cast(User, user)
        if not person.may_log_in:
            raise forms.ValidationError(self.error_messages["inactive"], code="inactive")
        if person.role != Role.MERCHANT:
            link, sentence = where_to(person.role)
            text = f"This login is for merchants. {sentence} Please log in at {link}."
            raise forms.ValidationError(text, code="not_a_merchant")


class Login(LoginView):
    template_name = "tracking/merchant/login.html"
    authentication_form = LoginForm
    extra_context = {"title": "Log in", "live": True}
    redirect_authenticated_user = True
    next_page = "merchant:orders"

    def form_invalid(self, form: Any) -> HttpResponse:
        """When no password is tried: this page with the reason, and 429 or 503."""
        if not getattr(self.request, "axes_locked_out", False):
            return super().form_invalid(form)
        # Else the middleware of axes replaces the page by a line of plain text.
        self.request.axes_locked_out = False  # type: ignore[attr-defined]
        refusal = lockout.refusal(self.request)
        context = self.get_context_data(form=form, locked_out=refusal.detail)
        headers = {"Retry-After": str(refusal.retry_after_s)}
        return self.render_to_response(context, status=refusal.status, headers=headers)


class Logout(LogoutView):
    http_method_names = ["post", "options"]
    next_page = "merchant-login"


class ChangePassword(PasswordChangeView):
    template_name = "tracking/merchant/password.html"
    success_url = reverse_lazy("merchant:orders")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        messages.success(self.request, "Your password was changed.")
        return super().form_valid(form)


@merchant_page
def change_password(request: HttpRequest, caller: PageCaller) -> HttpResponseBase:
    context = {**frame.context_of(request), "title": "Change your password"}
    return ChangePassword.as_view(extra_context=context)(request)

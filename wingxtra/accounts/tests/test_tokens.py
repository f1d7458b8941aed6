"""JWTs: login by name and password, refresh, verification and lockout."""

import time
from datetime import timedelta

import jwt
import pytest
import time_machine
from django.conf import settings as django_settings
from django.contrib import admin
from django.utils import timezone
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from wingxtra.accounts.actors import forget_expired_tokens
from wingxtra.accounts.admin import UserAdmin
from wingxtra.accounts.models import TokenFamily, User
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory, api_client
from wingxtra.tests.test_api_errors import problem

pytestmark = [pytest.mark.urls("wingxtra.tests.api_probe"), pytest.mark.django_db]


def log_in(user: User, password: str = PASSWORD, **headers: str):
    body = {"username": user.username, "password": password}
    return api_client().post("/api/v1/auth/token", body, **headers)


def refresh(token: str):
    return api_client().post("/api/v1/auth/token/refresh", {"refresh": token})


def verify(token: str):
    return api_client().post("/api/v1/auth/token/verify", {"token": token})


def call(token: str, scheme: str = "Bearer"):
    return api_client().get("/api/v1/merchants", HTTP_AUTHORIZATION=f"{scheme} {token}")


def test_a_token_has_user_role_merchant_and_expiry():
    user = UserFactory(merchant=MerchantFactory())
    access = log_in(user).json()["access"]
    claims = jwt.decode(access, django_settings.SECRET_KEY, algorithms=["HS256"])
    assert claims["sub"] == str(user.pk)
    assert claims["role"] == "MERCHANT"
    assert claims["merchant_id"] == str(user.merchant_id)
    assert claims["exp"] > timezone.now().timestamp()
    assert call(access).status_code == 200
    assert call(access, "bearer").status_code == 200


def test_staff_have_no_merchant_in_their_token():
    access = log_in(UserFactory(admin=True)).json()["access"]
    claims = jwt.decode(access, django_settings.SECRET_KEY, algorithms=["HS256"])
    assert (claims["role"], claims["merchant_id"]) == ("ADMIN", None)


def test_the_last_login_is_stored():
    user = UserFactory()
    log_in(user)
    assert User.objects.get(pk=user.pk).last_login is not None


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer():
    user = UserFactory()
    wrong = problem(log_in(user, "wrong"), 401, "invalid_credentials")
    unknown = problem(log_in(User(username="unknown")), 401, "invalid_credentials")
    assert wrong["detail"] == unknown["detail"]


def test_bad_input_to_the_token_call_is_named():
    response = api_client().post("/api/v1/auth/token", {"username": 7, "pasword": "x"})
    errors = problem(response, 400, "invalid")["errors"]
    assert {error["field"] for error in errors} == {"username", "password", "pasword"}


def test_a_user_of_an_inactive_merchant_is_refused_at_once():
    merchant = MerchantFactory()
    user = UserFactory(merchant=merchant)
    pair = log_in(user).json()
    merchant.active = False
    merchant.save()
    problem(log_in(user), 401, "invalid_credentials")
    problem(call(pair["access"]), 401, "token_not_valid")
    problem(refresh(pair["refresh"]), 401, "user_inactive")


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_an_invalid_token_is_refused(token):
    response = call(token or "x y")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    problem(verify(token or "nonsense"), 401, "token_not_valid")


def test_a_refresh_token_cannot_be_used_for_calls():
    problem(call(log_in(UserFactory()).json()["refresh"]), 401, "token_not_valid")


def test_an_access_token_expires():
    access = log_in(UserFactory()).json()["access"]
    assert verify(access).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        problem(call(access), 401, "token_not_valid")
        problem(verify(access), 401, "token_not_valid")


def test_each_refresh_token_works_once():
    first = log_in(UserFactory()).json()
    second = refresh(first["refresh"]).json()
    assert call(second["access"]).status_code == 200
    assert verify(second["refresh"]).status_code == 200
    problem(verify(first["refresh"]), 401, "token_not_valid")
    problem(refresh(first["refresh"]), 401, "token_not_valid")
    problem(verify(first["refresh"]), 401, "token_not_valid")


def test_a_refresh_token_that_is_used_twice_ends_all_tokens_of_its_login():
    user = UserFactory()
    other = log_in(user).json()
    first = log_in(user).json()
    second = refresh(first["refresh"]).json()
    problem(refresh(first["refresh"]), 401, "token_not_valid")
    problem(refresh(second["refresh"]), 401, "user_inactive")
    for access in (first["access"], second["access"]):
        problem(call(access), 401, "token_not_valid")
    assert call(other["access"]).status_code == 200


@pytest.mark.parametrize(
    "change", [{"role": "ADMIN"}, {"password": "another"}, {"is_active": False}]
)
def test_tokens_end_with_the_password_the_role_and_the_account(change):
    user = UserFactory()
    pair = log_in(user).json()
    User.objects.update(**change)
    problem(call(pair["access"]), 401, "token_not_valid")
    problem(refresh(pair["refresh"]), 401, "user_inactive")
    problem(verify(pair["access"]), 401, "token_not_valid")


def test_an_account_that_is_switched_on_again_has_no_old_tokens():
    user = UserFactory()
    pair = log_in(user).json()
    edited = User.objects.get(pk=user.pk)
    edited.is_active = False
    UserAdmin(User, admin.site).save_model(None, edited, form=None, change=True)
    User.objects.update(is_active=True)
    problem(call(pair["access"]), 401, "token_not_valid")


def test_no_token_is_stored():
    pair = log_in(UserFactory()).json()
    stored = str(TokenFamily.objects.values().get())
    for token in pair.values():
        assert token not in stored
        assert jwt.decode(token, options={"verify_signature": False})["jti"] not in stored


class TestSecondFactor:
    @pytest.fixture(autouse=True)
    def _is_required(self, settings):
        settings.STAFF_SECOND_FACTOR = True

    @staticmethod
    def ask(user: User, **more: str):
        return api_client().post(
            "/api/v1/auth/token", {"username": user.username, "password": PASSWORD, **more}
        )

    def test_staff_without_an_app_set_one_up_in_the_console_first(self):
        problem(self.ask(UserFactory()), 401, "second_factor_not_set_up")

    def test_staff_send_the_code_with_the_password(self):
        user = UserFactory()
        app = TOTPDevice.objects.create(user=user, name="app", confirmed=True)
        problem(self.ask(user), 401, "second_factor_required")
        problem(self.ask(user, otp="12345"), 401, "second_factor_wrong")
        totp = TOTP(app.bin_key)
        totp.time = time.time()
        assert self.ask(user, otp=f"{totp.token():06d}").status_code == 200
        # A code works once, and the next try has to wait.
        problem(self.ask(user, otp=f"{totp.token():06d}"), 401, "second_factor_wrong")
        assert TokenFamily.objects.count() == 1

    def test_merchants_need_none(self):
        assert self.ask(UserFactory(merchant=MerchantFactory())).status_code == 200


def test_an_access_token_cannot_be_refreshed():
    problem(refresh(log_in(UserFactory()).json()["access"]), 401, "token_not_valid")


def test_a_token_of_a_deleted_user_is_refused():
    user = UserFactory()
    pair = log_in(user).json()
    user.delete()
    problem(call(pair["access"]), 401, "token_not_valid")
    assert refresh(pair["refresh"]).status_code == 401


def test_expired_tokens_are_deleted():
    log_in(UserFactory())
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        forget_expired_tokens.fn()
    assert not TokenFamily.objects.exists()


def test_too_many_wrong_passwords_lock_the_user_out_and_are_logged(settings, caplog):
    user = UserFactory()
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        problem(log_in(user, "wrong"), 401, "invalid_credentials")
    response = log_in(user, "wrong")
    problem(response, 429, "too_many_failures")
    assert response.headers["Retry-After"] == "600"
    problem(log_in(user), 429, "too_many_failures")
    assert any("Locking out" in str(r.getMessage()) for r in caplog.records)
    assert user.username in caplog.text
    assert PASSWORD not in caplog.text
    # The same user at another address, and another user at this one, are not locked out.
    assert log_in(user, REMOTE_ADDR="10.0.0.7").status_code == 200
    assert log_in(UserFactory()).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert log_in(user).status_code == 200


def test_a_right_password_resets_the_count_of_wrong_ones(settings):
    user = UserFactory()
    for _ in range(3):
        for _ in range(settings.AXES_FAILURE_LIMIT - 1):
            problem(log_in(user, "wrong"), 401, "invalid_credentials")
        assert log_in(user).status_code == 200

"""Logging in by name and password, and staying logged in."""

from datetime import timedelta

import jwt
import pytest
import time_machine
from django.conf import settings as django_settings
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from wingxtra.accounts.actors import forget_expired_tokens
from wingxtra.accounts.models import User
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


def test_a_token_says_who_in_which_role_and_for_how_long():
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


def test_a_login_is_noted():
    user = UserFactory()
    log_in(user)
    assert User.objects.get(pk=user.pk).last_login is not None


def test_a_wrong_password_and_an_unknown_name_sound_the_same():
    user = UserFactory()
    wrong = problem(log_in(user, "wrong"), 401, "invalid_credentials")
    unknown = problem(log_in(User(username="nobody")), 401, "invalid_credentials")
    assert wrong["detail"] == unknown["detail"]


def test_bad_input_to_the_token_call_is_named():
    response = api_client().post("/api/v1/auth/token", {"username": 7, "pasword": "x"})
    errors = problem(response, 400, "invalid")["errors"]
    assert {error["field"] for error in errors} == {"username", "password", "pasword"}


def test_who_was_switched_off_is_out_at_once():
    merchant = MerchantFactory()
    user = UserFactory(merchant=merchant)
    pair = log_in(user).json()
    merchant.active = False
    merchant.save()
    problem(log_in(user), 401, "invalid_credentials")
    problem(call(pair["access"]), 401, "token_not_valid")
    problem(refresh(pair["refresh"]), 401, "user_inactive")


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_a_token_that_is_none_is_refused(token):
    response = call(token or "x y")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    problem(verify(token or "nonsense"), 401, "token_not_valid")


def test_a_refresh_token_opens_no_door():
    problem(call(log_in(UserFactory()).json()["refresh"]), 401, "token_not_valid")


def test_an_access_token_runs_out():
    access = log_in(UserFactory()).json()["access"]
    assert verify(access).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        problem(call(access), 401, "token_not_valid")
        problem(verify(access), 401, "token_not_valid")


def test_each_refresh_token_works_once():
    first = log_in(UserFactory()).json()
    second = refresh(first["refresh"]).json()
    assert call(second["access"]).status_code == 200
    problem(refresh(first["refresh"]), 401, "token_not_valid")
    problem(verify(first["refresh"]), 401, "token_not_valid")
    assert refresh(second["refresh"]).status_code == 200


def test_a_refreshed_token_has_the_role_of_now():
    user = UserFactory()
    pair = log_in(user).json()
    User.objects.update(role="ADMIN")
    access = refresh(pair["refresh"]).json()["access"]
    assert jwt.decode(access, options={"verify_signature": False})["role"] == "ADMIN"


def test_an_access_token_refreshes_nothing():
    problem(refresh(log_in(UserFactory()).json()["access"]), 401, "token_not_valid")


def test_a_token_whose_user_is_gone_is_refused():
    user = UserFactory()
    pair = log_in(user).json()
    user.delete()
    problem(call(pair["access"]), 401, "token_not_valid")
    assert refresh(pair["refresh"]).status_code == 401


def test_expired_tokens_are_forgotten():
    log_in(UserFactory())
    with time_machine.travel(timezone.now() + timedelta(days=8)):
        forget_expired_tokens.fn()
    assert not OutstandingToken.objects.exists()


def test_who_guesses_passwords_has_to_wait_and_it_is_logged(settings, caplog):
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
    # Nobody else is locked out: not the same user elsewhere, not another one there.
    assert log_in(user, REMOTE_ADDR="10.0.0.7").status_code == 200
    assert log_in(UserFactory()).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert log_in(user).status_code == 200


def test_a_right_password_forgives_the_wrong_ones_before(settings):
    user = UserFactory()
    for _ in range(3):
        for _ in range(settings.AXES_FAILURE_LIMIT - 1):
            problem(log_in(user, "wrong"), 401, "invalid_credentials")
        assert log_in(user).status_code == 200

"""Tries with roles, tokens and the second factor."""

from django.db import connection
from psycopg import sql

from orders.states import Status
from orders.tests.factories import order_in
from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import User
from wingxtra.accounts.tests.factories import PASSWORD, MerchantFactory, UserFactory
from wingxtra.tests.attack.people import (
    ask_for_tokens,
    code_of,
    give_app,
    give_password,
    log_in,
    tokens_of,
)
from wingxtra.tests.attack.stack import Seen, Stack, Visitor

ADMINS_PAGE = "/admin/accounts/apikey/add/"


def first_administrator_as_reader(stack: Stack) -> Seen:
    """the first administrator is set to READONLY and makes an ADMIN key"""
    user = give_app(User.objects.create_superuser("first", password=PASSWORD))
    visitor, later = Visitor(stack.behind), Visitor(stack.behind)
    log_in(visitor, user)
    before = visitor.get(ADMINS_PAGE).status_code
    User.objects.filter(pk=user.pk).update(role=Role.READONLY)
    after = visitor.get(ADMINS_PAGE).status_code
    log_in(later, user)
    again = later.get(ADMINS_PAGE).status_code
    return Seen(
        f"the page for keys: {before} as ADMIN; as READONLY {after}, after a new login {again}",
        (before, after, again) == (200, 403, 403),
    )


def refresh_token_used_twice(stack: Stack) -> Seen:
    """a refresh token is used twice"""
    visitor = Visitor(stack.behind)
    first = ask_for_tokens(visitor, UserFactory(merchant=MerchantFactory())).json()
    second = visitor.post("/api/v1/auth/token/refresh", json={"refresh": first["refresh"]}).json()
    reused = visitor.post("/api/v1/auth/token/refresh", json={"refresh": first["refresh"]})
    alive = _count_alive(visitor, [first["access"], second["access"]], [second["refresh"]])
    return Seen(
        f"the second use {reused.status_code}, {alive} of the login's 3 tokens go on",
        reused.status_code == 401 and alive == 0,
    )


def stored_tokens(stack: Stack) -> Seen:
    """a valid token is looked for in each row of the database"""
    pair = ask_for_tokens(Visitor(stack.behind), UserFactory(merchant=MerchantFactory())).json()
    signatures = [token.rpartition(".")[2] for token in pair.values()]
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        found = [name for name in tables if _holds_one_of(signatures, name, cursor)]
    return Seen(f"found in {found or 'none'} of {len(tables)} tables", not found)


def tokens_after_a_new_password(stack: Stack) -> Seen:
    """tokens are used after the password was changed"""
    visitor, user = Visitor(stack.behind), UserFactory(merchant=MerchantFactory())
    pair = ask_for_tokens(visitor, user).json()
    before = _count_alive(visitor, [pair["access"]], [])
    user.set_password("another correct horse battery")
    user.save()
    alive = _count_alive(visitor, [pair["access"]], [pair["refresh"]])
    return Seen(f"{alive} of 2 tokens go on", before == 1 and alive == 0)


def password_alone_for_tokens(stack: Stack) -> Seen:
    """the password of an ADMIN alone asks for tokens"""
    visitor, user = Visitor(stack.behind), give_app(UserFactory(admin=True))
    alone = ask_for_tokens(visitor, user)
    both = ask_for_tokens(visitor, user, otp=code_of(user))
    return Seen(
        f"{alone.status_code} ({alone.json().get('code')}); with the code {both.status_code}",
        (alone.status_code, both.status_code) == (401, 200),
    )


def password_alone_for_the_record(stack: Stack) -> Seen:
    """the password of OPS alone opens the printable record"""
    user, order = give_app(UserFactory(ops=True)), order_in(Status.FAILED)
    record = f"/api/v1/orders/{order.pk}/record"
    half, whole = Visitor(stack.behind), Visitor(stack.behind)
    give_password(half, user)
    log_in(whole, user)
    alone, both = half.get(record).status_code, whole.get(record).status_code
    bearer = f"Bearer {tokens_of(whole, user)['access']}"
    by_token = Visitor(stack.behind, Authorization=bearer).get(record).status_code
    return Seen(
        f"{alone}; with the code {both}, with a token {by_token}",
        alone in (401, 403) and (both, by_token) == (200, 200),
    )


def _count_alive(visitor: Visitor, access: list[str], refresh: list[str]) -> int:
    calls = [
        visitor.get("/api/v1/orders", headers={"Authorization": f"Bearer {token}"})
        for token in access
    ]
    calls += [visitor.post("/api/v1/auth/token/refresh", json={"refresh": one}) for one in refresh]
    return sum(answer.ok for answer in calls)


def _holds_one_of(texts: list[str], table: str, cursor: object) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT 1 FROM {0} WHERE {0}::text LIKE ANY(%s))")
    cursor.execute(query.format(sql.Identifier(table)), [[f"%{text}%" for text in texts]])  # type: ignore[attr-defined]
    return bool(cursor.fetchone()[0])  # type: ignore[attr-defined]

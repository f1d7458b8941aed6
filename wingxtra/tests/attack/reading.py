"""Tries to read what is hidden, to guess, and to lose what was written."""

import re

from django.contrib.sessions.models import Session

from orders.tests.factories import OrderFactory
from wingxtra.accounts.identity import Role
from wingxtra.accounts.tests.factories import MerchantFactory, UserFactory
from wingxtra.console import actions
from wingxtra.tests.attack.people import ask_for_tokens, give_app, log_in, submit
from wingxtra.tests.attack.stack import Seen, Stack, Visitor

PHONE = "+233269876543"
LIST = "/admin/orders/order/"
NOTE = "The customer moved to Tema and asked twice"
POLLS = ("/admin/now/", "/admin/map/data/")
ADDRESSES = 40


def phone_by_search(stack: Stack) -> Seen:
    """READONLY searches for a masked phone number, digit by digit"""
    order = OrderFactory(customer_phone=PHONE)
    known = {}
    for role in (Role.READONLY, Role.OPS):
        visitor = Visitor(stack.behind)
        log_in(visitor, give_app(UserFactory(role=role, is_staff=True)))
        known[role] = _digits_found(visitor, str(order.pk))
    return Seen(
        f"READONLY finds {known[Role.READONLY]} digits, OPS {known[Role.OPS]} of {len(PHONE) - 1}",
        known[Role.READONLY] == 0 < known[Role.OPS],
    )


def one_network_guesses(stack: Stack) -> Seen:
    """40 addresses of one IPv6 /64 guess one password"""
    owner = UserFactory(merchant=MerchantFactory())
    home = _from(stack, "2001:db8:0:2::1")
    ask_for_tokens(home, owner)  # from now on a known address of theirs
    network = [_from(stack, f"2001:db8:0:1::{number:x}") for number in range(1, ADDRESSES + 1)]
    guesses = [ask_for_tokens(visitor, owner, password="wrong") for visitor in network]
    statuses = [guess.status_code for guess in guesses]
    tried = statuses.count(401)
    owners = ask_for_tokens(home, owner)
    return Seen(
        f"{tried} passwords were tried, the others locked out; the owner at home "
        f"{owners.status_code}",
        tried <= 5 and owners.status_code == 200,
    )


def session_lost(stack: Stack) -> Seen:
    """the session ends under an open page: polls, and a form with a text"""
    visitor, order = Visitor(stack.behind), OrderFactory()
    log_in(visitor, give_app(UserFactory(ops=True)))
    open_polls = [visitor.get(path).ok for path in POLLS]
    Session.objects.all().delete()
    # The pages' script offers the login when an answer was redirected there.
    told = [bool(visitor.get(path).history) for path in POLLS]
    url = actions._actions["orders.order", "cancel"].url(order.pk)
    lost = submit(visitor, url, reason="OTHER", note=NOTE)
    kept = NOTE in lost.text and "You were logged out" in lost.text
    return Seen(
        f"{sum(told)} of {len(POLLS)} polls lead to the login; the form {lost.status_code}, its "
        f"text {'is given back' if kept else 'is lost'}",
        all(open_polls) and all(told) and kept,
    )


def _digits_found(visitor: Visitor, order_id: str) -> int:
    """How many digits, from the country code on, a search confirms one after the other."""
    found = 0
    for end in range(5, len(PHONE) + 1, 4):
        answer = visitor.get(LIST, params={"q": PHONE[:end]})
        answer.raise_for_status()
        if not re.search(rf"{order_id}/change/", answer.text):
            break
        found = end - 1
    return found


def _from(stack: Stack, address: str) -> Visitor:
    """A visitor whose address the proxy saw."""
    return Visitor(stack.behind, **{"X-Forwarded-For": address})

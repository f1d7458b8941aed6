"""Factories of users, merchants and keys, and API clients that call as them."""

from typing import Any

import factory
from rest_framework.test import APIClient

from wingxtra.accounts.identity import Role
from wingxtra.accounts.models import ApiKey, Merchant, User

PASSWORD = "correct horse battery staple"


class MerchantFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Merchant

    name = factory.Sequence(lambda n: f"Ridge Pharmacy {n}")


class UserFactory(factory.django.DjangoModelFactory):
    """Ops staff by default; an administrator with `admin=True`, a loader with `loader=True`, a
    merchant's user with `merchant=...`.
    """

    class Meta:
        model = User

    class Params:
        ops = factory.Trait(role=Role.OPS, is_staff=True)
        admin = factory.Trait(role=Role.ADMIN, is_staff=True)
        loader = factory.Trait(role=Role.LOADER, is_staff=False)

    username = factory.Sequence(lambda n: f"ama{n}")
    merchant = None
    role = factory.LazyAttribute(lambda user: Role.MERCHANT if user.merchant else Role.OPS)
    is_staff = factory.LazyAttribute(lambda user: user.merchant is None)

    @classmethod
    def _create(cls, model_class: type[User], *args: Any, **kwargs: Any) -> User:
        return model_class.objects.create_user(*args, password=PASSWORD, **kwargs)


def api_client(user: User | ApiKey | None = None) -> APIClient:
    """A client that calls as `user` without real authentication; anonymous if None."""
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client


def key_client(**attributes: Any) -> APIClient:
    """A client with a new API key and real authentication; `role` is ADMIN by default."""
    attributes = {"name": "till 3", "role": Role.ADMIN, **attributes}
    if attributes.get("merchant"):
        attributes["role"] = Role.MERCHANT
    _, key = ApiKey.issue(**attributes)
    client = api_client()
    client.credentials(HTTP_X_API_KEY=key)
    return client

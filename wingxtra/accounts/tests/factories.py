"""Callers as tests need them, and clients that call as them."""

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
    """Ops staff; an administrator with `admin=True`, a loader with `loader=True`, a merchant's with
    `merchant=...`.
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
    """Calls as `user`, whom it need not authenticate; as a stranger without one."""
    client = APIClient()
    if user is not None:
        client.force_authenticate(user)
    return client


def key_client(**attributes: Any) -> APIClient:
    """Calls with a new API key, by the real authentication; `role` is ADMIN if not given."""
    attributes = {"name": "till 3", "role": Role.ADMIN, **attributes}
    if attributes.get("merchant"):
        attributes["role"] = Role.MERCHANT
    _, key = ApiKey.issue(**attributes)
    client = api_client()
    client.credentials(HTTP_X_API_KEY=key)
    return client

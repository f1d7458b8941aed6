"""Rate limits of calls with a tracking link: per link, with a high ceiling per address.

Many phones share an address, so a link has quotas of its own. Only links that exist are counted:
guesses of ids count against the address alone and leave no keys in Redis.
"""

from enum import StrEnum

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from orders.tracking_ids import canonical_id
from wingxtra.api import throttling
from wingxtra.api.throttling import Quota


class Kind(StrEnum):
    READ = "reads"
    POSITION = "positions"
    WRITE = "writes"
    CODE = "codes"


def ceiling(request: HttpRequest | Request) -> Quota:
    """The limit of one address for all calls with links, guesses too."""
    who = f"links:{throttling.address_of(request)}"
    return Quota(settings.API_RATE_LINKS, who, "from this address")


def ceiling_of_positions(request: HttpRequest) -> Quota:
    """The limit of one address for positions. It is not a part of `ceiling`, because each open page
    asks once a second, and an answer costs about a quarter of a page.
    """
    who = f"positions:{throttling.address_of(request)}"
    return Quota(settings.API_RATE_POSITIONS, who, "from this address")


def at_once(quota: Quota) -> int:
    """How many pages may ask each second within this quota, and so how many may have a stream."""
    return int(quota.limit.amount // quota.limit.get_expiry())


def of_link(kind: Kind, tracking_id: str) -> Quota:
    """The id in any spelling. Count it only when the delivery is known."""
    rates = {
        Kind.READ: settings.API_RATE_LINK_READS,
        Kind.POSITION: settings.API_RATE_LINK_POSITIONS,
        Kind.WRITE: settings.API_RATE_LINK_WRITES,
        Kind.CODE: settings.API_RATE_LINK_CODES,
    }
    return Quota(rates[kind], f"link:{kind}:{canonical_id(tracking_id)}", "with this link")

"""The client's address, behind a known number of our own proxies."""

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def client_address(request: HttpRequest | Request) -> str:
    """The address that our outermost proxy saw.

    Each proxy appends its peer's address to `X-Forwarded-For`, so the entry TRUSTED_PROXY_COUNT
    from the right is the last one that a client cannot forge. Without proxies the header is
    ignored. A request that bypassed the proxies counts under its peer's address.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    proxies: int = settings.TRUSTED_PROXY_COUNT
    if proxies < 1:
        return peer
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
    return hops[-proxies] if len(hops) >= proxies and hops[-proxies] else peer

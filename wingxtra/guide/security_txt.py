"""`/.well-known/security.txt` (RFC 9116): where a vulnerability is reported."""

from datetime import datetime, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

# Each answer is as new as the setting, so only a copy can be out of date, and for no longer.
COPY_IS_TRUE_FOR = timedelta(days=7)


@require_safe
@cache_control(public=True, max_age=3600)
def security_txt(request: HttpRequest) -> HttpResponse:
    if not settings.SECURITY_CONTACT:
        raise Http404("SECURITY_CONTACT is not set.")
    text = written(settings.SECURITY_CONTACT, settings.PUBLIC_BASE_URL, timezone.now())
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


def written(contacts: list[str], base_url: str, now: datetime) -> str:
    """`contacts`: URIs, the preferred one first. `now` is in UTC."""
    expires = (now + COPY_IS_TRUE_FOR).replace(microsecond=0)
    fields = [
        *(("Contact", contact) for contact in contacts),
        ("Expires", expires.isoformat().replace("+00:00", "Z")),
        ("Policy", base_url + reverse("guide-page", args=["security-reporting"])),
        ("Preferred-Languages", "en"),
        ("Canonical", base_url + reverse("security-txt")),
    ]
    return "".join(f"{name}: {value}\n" for name, value in fields)

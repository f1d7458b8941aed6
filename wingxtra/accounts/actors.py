import dramatiq
from django.utils import timezone

from wingxtra.accounts.models import TokenFamily
from wingxtra.broker import every


@every(3600)
@dramatiq.actor
def forget_expired_tokens() -> None:
    TokenFamily.objects.filter(expires_at__lt=timezone.now()).delete()

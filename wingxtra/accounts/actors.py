import dramatiq
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from wingxtra.broker import every


@every(3600)
@dramatiq.actor
def forget_expired_tokens() -> None:
    OutstandingToken.objects.filter(expires_at__lt=timezone.now()).delete()

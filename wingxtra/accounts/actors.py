import dramatiq
from axes.models import AccessAttempt
from django.conf import settings
from django.utils import timezone

from wingxtra.accounts.lockout import KNOWN_FOR
from wingxtra.accounts.models import KnownAddress, TokenFamily
from wingxtra.broker import every


@every(3600)
@dramatiq.actor
def forget_expired_tokens() -> None:
    TokenFamily.objects.filter(expires_at__lt=timezone.now()).delete()


@every(3600)
@dramatiq.actor
def forget_known_addresses() -> None:
    KnownAddress.objects.filter(last_login_at__lt=timezone.now() - KNOWN_FOR).delete()


@every(3600)
@dramatiq.actor
def forget_wrong_passwords() -> None:
    expired = timezone.now() - settings.AXES_COOLOFF_TIME
    AccessAttempt.objects.filter(attempt_time__lte=expired).delete()

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wingxtra.settings")
# Only here: migrations and background jobs may take longer.
os.environ.setdefault("DATABASE_ANSWER_WITHIN_S", "10")
django_application = get_wsgi_application()

from django.conf import settings  # noqa: E402 (needs the loaded apps, as do the next two)

from wingxtra import checks  # noqa: E402
from wingxtra.middleware.slow_clients import SlowClients  # noqa: E402
from wingxtra.observability import metrics  # noqa: E402

application = SlowClients(django_application, settings.REQUESTS_AT_ONCE)

checks.refuse_wrong_settings()
metrics.share()
# All objects loaded by now live as long as the process. Without freeze, each full garbage
# collection walks through them for a tenth of a second.
gc.collect()
gc.freeze()

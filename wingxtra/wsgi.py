import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wingxtra.settings")
application = get_wsgi_application()

from wingxtra import checks  # noqa: E402 (they need the applications)
from wingxtra.observability import metrics  # noqa: E402 (they need the applications)

checks.refuse_wrong_settings()
metrics.share()
# What is loaded by now stays as long as the process: the collector need not walk through it again
# and again, which took a tenth of a second each time.
gc.collect()
gc.freeze()

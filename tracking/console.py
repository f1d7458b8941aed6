"""What tracking puts into the console. Importing registers it."""

import tracking.messages.console
import tracking.webhooks.console  # noqa: F401

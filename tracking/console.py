"""Console sections of tracking. Importing this module registers them."""

import tracking.messages.console
import tracking.webhooks.console  # noqa: F401

"""What tracking puts into the console."""

from tracking import message_console, webhook_console  # noqa: F401 (importing registers them)

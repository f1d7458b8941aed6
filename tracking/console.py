"""What tracking puts into the console."""

from tracking import message_console  # noqa: F401 (importing it registers it)

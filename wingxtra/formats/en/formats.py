"""Formats of dates and times that Django renders in the console: 24 hours, like our own."""

DATETIME_FORMAT = "d M Y H:i:s"
DATE_FORMAT = "d M Y"
TIME_FORMAT = "H:i:s"

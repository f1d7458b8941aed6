"""How the console writes times where Django does it: as everywhere else, and never with “a.m.”."""

DATETIME_FORMAT = "d M Y H:i:s"
DATE_FORMAT = "d M Y"
TIME_FORMAT = "H:i:s"

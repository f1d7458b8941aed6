"""Service areas, no-fly zones and the current rules, cached in memory."""

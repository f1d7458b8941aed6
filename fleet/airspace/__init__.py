"""Service areas, zones and the rules in force, kept in memory."""

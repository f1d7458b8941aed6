"""Orders over HTTP, for merchants and staff."""

"""Orders from files, and orders as files."""

"""PostgreSQL and Valkey for machines that have none."""

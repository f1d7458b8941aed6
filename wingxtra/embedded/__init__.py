"""PostgreSQL and Valkey from Python wheels, for machines without these servers."""

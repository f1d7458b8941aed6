"""What a plan reads from the database."""

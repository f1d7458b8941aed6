"""What must be in order before a drone flies: people, maintenance, checks."""

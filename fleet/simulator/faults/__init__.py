"""What can go wrong on request: the board of faults, and what each one does."""

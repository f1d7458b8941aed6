"""What merchants are told of events."""

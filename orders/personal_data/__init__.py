"""What is known of customers: how it is masked, and when it is forgotten."""

"""What customers are told by SMS and e-mail."""

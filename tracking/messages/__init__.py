"""SMS and e-mail to customers."""

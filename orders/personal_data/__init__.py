"""Customers' personal data: masking and retention."""

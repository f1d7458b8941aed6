"""Recurring orders: templates that place orders ahead, like a clinic's round every weekday."""

"""Recurring orders on the merchants' page."""

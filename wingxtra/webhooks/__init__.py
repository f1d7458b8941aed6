"""Signed webhooks: secrets, signatures, and a POST that reaches no address of ours."""

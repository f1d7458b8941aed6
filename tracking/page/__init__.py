"""The page and the JSON behind a customer's tracking link."""

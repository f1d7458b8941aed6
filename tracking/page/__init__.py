"""The page and the JSON that a customer opens with a tracking link."""

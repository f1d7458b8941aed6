"""The times of an order: its window, the soonest delivery, and the hours of its places."""

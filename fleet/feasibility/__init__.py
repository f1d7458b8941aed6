"""Whether a drone may fly an order, with figures and reasons. Pure: time is an argument."""

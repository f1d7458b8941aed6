"""Whether a drone may fly an order, how far and why not. Pure: rules and time are arguments."""

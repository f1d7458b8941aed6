"""What the Fleet API says of the drones right now, and how far it is believed."""

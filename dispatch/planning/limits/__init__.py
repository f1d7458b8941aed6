"""What limits a plan beside the drones: hours, parcels that are not ready, pads and launches."""

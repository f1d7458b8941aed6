"""What is promised before take-off: quoted ranges, places in line, and whether they held."""

"""What ground control is asked, and what is known of the flights."""

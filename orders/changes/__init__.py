"""What may be changed after placing: the drop point, the details, the tracking link."""

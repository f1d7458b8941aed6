"""A simulator of the Fleet API and the GCS bridge with flying drones, over real HTTP.

It shares no code with the product, because the product is tested against it. Tests use `Simulator`
in `run.py`; the command line is `manage.py simulator`.
"""

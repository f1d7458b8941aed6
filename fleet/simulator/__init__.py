"""A flying stand-in for the Fleet API and the GCS bridge, over real HTTP.

It shares no code with the product on purpose: it is what the product is checked against.
`Simulator` in `run.py` is the way in for tests and the demo, `manage.py simulator` for people.
"""

"""Files of geographical zones: ED-269, ED-318 and GeoJSON. Pure."""

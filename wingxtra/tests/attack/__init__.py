"""`make attack`: the tries of an attacker, a slow network and failing servers."""

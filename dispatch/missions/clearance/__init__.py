"""Clearance to fly: asked before a mission is published, given back when it is over."""

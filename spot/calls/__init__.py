"""The calls of a node, by subject; spot/node.py puts them together as class Spot.

Each checks its arguments, and has the core and the driver do the rest. Internal.
"""

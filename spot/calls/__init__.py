"""The calls of a node, by subject; spot/node.py puts them together as class Spot.

Each call checks its arguments; the core and the driver do the rest. Internal.
"""

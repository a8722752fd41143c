"""The only code that touches the world.

Activities implement the ports of `workflows.ports`: each converts what it was given, makes one call, and converts the
answer. They hold no rule: `policy` decides. What they keep, they keep in the record (`database.py`, `tables.py`).
"""

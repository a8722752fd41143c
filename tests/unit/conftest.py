"""Properties are tried on the same examples in every run, and never fail because the machine was busy."""

from hypothesis import settings

settings.register_profile("unit", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("unit")

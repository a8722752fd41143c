"""Looking at policies without asking them about an action: checks, tests, differences, simulation."""

"""The migrations of the record; `runner.migrate` runs them."""

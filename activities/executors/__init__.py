"""Executors: the adapters that act on targets. `base` says what each of them owes."""

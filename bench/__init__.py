"""Ratios against bare Temporal workflows, in one run on one machine. See `docs/benchmarks.md`."""

"""Trails: readers of what targets themselves write down of what was done to them."""

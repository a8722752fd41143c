"""Encrypting what Temporal holds: keys, the codec of every payload, histories offline, and reading for the UI."""

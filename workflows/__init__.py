"""workflows wait: the durable clock, the conversation and the memory of a case.

Deterministic only. They import policy and call the world through `workflows/ports.py`. They never decide from what they
remember: authority is recomputed from the record by the activities.
"""

"""policy decides: pure rules over recorded facts.

1. Everything a rule needs is an argument; the instant, too. No clock, randomness, environment, I/O or logging.
2. A rule returns evidence (what counted, what is missing, what was refused and why); a thin gate acts on it.
3. Nothing is vacuously allowed: an empty chain, an unknown target or a missing fact denies, with a reason.
"""

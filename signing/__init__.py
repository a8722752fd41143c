"""signing proves: what a signature, a token or an SSH signature shows, and how ours are made.

Over bytes that are given, with keys that are given: no database, no network, no clock. It stands beside `workflows`,
which never reach it: cryptography has no place in a sandbox. Imports `policy`; `activities` and `cli` import it.
"""

import warnings

from joserfc.errors import SecurityWarning

# Issuers go on naming it for Ed25519, and it is verified as Ed25519 only (RFC 9864).
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)

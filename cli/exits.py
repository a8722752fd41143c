"""Exit codes of the command line: scripts branch on them.

OK: done. FAILED: it could not be done, the message says why. USAGE: argparse's own. REFUSED: a decision was answered
and does not count, or an action ended otherwise than succeeded. UNKNOWN: it was sent and nobody answered yet.
INCONSISTENT: an audit found something that does not hold together. UNREAD: whoever read the output went away while it
was written, as in `| head`; what the command did, it did.
"""

OK = 0
FAILED = 1
USAGE = 2
REFUSED = 3
UNKNOWN = 4
INCONSISTENT = 5
INTERRUPTED = 130
UNREAD = 141

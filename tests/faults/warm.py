"""What a worker process has ready when it is forked: all that it imports, and the id of this build.

Both are the same in each, and cost more than all else of its start.
"""

from temporalio.worker._worker import load_default_build_id

from tests.faults import crashing

__all__ = ["crashing"]

load_default_build_id()

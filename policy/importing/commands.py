"""A command line as an operation of the shipped registries, for platforms that propose commands.

- What is not read is unknown, and unknown is destructive: another program, an option that is not listed, several
  commands, anything that a shell would act on.
- Reading a command runs nothing, and makes no command out of a proposal: an executor gets the operation.
"""

from collections.abc import Sequence

from policy.importing.arguments import ProposedOperation, is_program
from policy.importing.host_commands import PROGRAMS
from policy.importing.kubernetes_commands import read_kubectl

_READERS = {"kubectl": read_kubectl, **PROGRAMS}
_ACTED_ON = frozenset({";", "&", "&&", "|", "||", ">", ">>", "<", "<<", "2>&1"})
_MACHINE = ("reboot", "poweroff", "halt", "shutdown")


def classify_command(argv: Sequence[str]) -> ProposedOperation | None:
    """What a command would do, or None where nobody can tell: the worst.

    Args:
        argv: program and arguments. Make them from a line with `arguments.split_command`, which refuses what is more
            than one command.
    """
    if not argv or any("\0" in word for word in argv) or _ACTED_ON & set(argv):
        return None
    if any(is_program(argv[0], name) for name in _MACHINE):
        return ProposedOperation("host.machine.reboot", "machine", {}, argv[0].rsplit("/", 1)[-1])
    for name, read in _READERS.items():
        if is_program(argv[0], name):
            return read(argv[1:])
    return None

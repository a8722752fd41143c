"""English verbs of tools and actions, by what doing them means at worst.

General words only: no product, no tool and no table of actions is named here. A word that is missing is unknown, and
whoever reads names by this lexicon has to take what is unknown for the worst.
"""

from enum import StrEnum


class Kind(StrEnum):
    """What an operation does at worst."""

    read = "read"
    mutate = "mutate"
    destructive = "destructive"

    @property
    def rank(self) -> int:
        """0 for read to 2 for destructive."""
        return list(Kind).index(self)


def worst(*kinds: Kind) -> Kind:
    """The worst of some kinds."""
    return max(kinds, key=lambda kind: kind.rank)


_READS = """
aggregate analyse analyze assess audit browse calculate check compare compute correlate count describe detect
determine diagnose diff discover display download enumerate estimate examine explain explore fetch filter find
forecast gather get identify inspect list lookup measure monitor observe obtain peek ping poll preview query read
recommend retrieve return scan search select show simulate suggest summarise summarize tail troubleshoot validate
verify view visualise visualize
"""
_MUTATES = """
accept acknowledge add adjust advertise allocate amend annotate append apply approve archive assign associate attach
backup begin build bump cancel change checkout checkpoint clone close commit compact configure confirm connect
continue copy cordon correct create decrease decrypt deploy detach disable disassociate dismiss duplicate edit enable
enqueue enrol enroll escalate expand export expose extend fix fork generate grow heal hide import increase ingest
initialise initialize initiate insert install invite join label launch link load lock log mark merge migrate mitigate
modify mount move mute notify open optimise optimize patch pause pin post prepare propose provision publish push put
reassign rebalance rebase rebuild reclaim record recover redeploy refresh register reindex relabel release reload
remediate rename renew reopen repair replicate reply report request rerun reschedule resize resolve respond restart
resume retry rollback rotate run save scale schedule seal send set share sign silence snapshot snooze sort split stage
star start stash stop store submit subscribe suspend swap switch sync synchronise synchronize tag throttle toggle
track transfer transition trigger tune turn unarchive unassign uncordon unlabel unlink unlock unmount unmute unpause
unpin unseal unsubscribe unsuspend untag update upgrade upload upsert vacuum withdraw write
"""
_DESTROYS = """
abort administer assume ban block clean cleanup clear control cutover deactivate decommission defragment del delete
demote deprovision deregister destroy discard downgrade downscale drain drop elevate empty encrypt erase evict expire
expunge failback failover fence flush force format grant halt handle impersonate invalidate isolate kick kill lockdown
manage nuke operate overwrite perform poweroff promote prune purge quarantine reboot recreate recycle reimage remove
replace reset restore revert revoke rewind rewrite rm shrink shutdown squash sweep terminate trim truncate undeploy
uninstall unpublish unregister unset wipe
"""
_RUNS = "call eval evaluate exec execute invoke shell spawn ssh sudo"


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


VERBS: dict[str, Kind] = {
    **dict.fromkeys(_READS.split(), Kind.read),
    **dict.fromkeys(_MUTATES.split(), Kind.mutate),
    **dict.fromkeys((_DESTROYS + _RUNS).split(), Kind.destructive),
}
# Words that are a verb only where a name begins with them: elsewhere they are what is acted on.
NOUNS_UNLESS_FIRST = words("""
call commit control format issue label lock log order process profile record release report request share sort stage
state store track use
""")
# Words that are what is read, where a name says first that it reads.
NOUNS_AFTER_A_READ = words("""
backup block build change checkpoint clone connect copy deploy export fork import load mark mount open patch pin post
push reload replicate restart restore rollback run scale schedule set shell snapshot ssh star start stop switch sync
tag transfer trigger update upgrade
""")
# What a description that says "by ...ing" changes for certain; one resolves a name and sends a request to read, too.
MAKES = words("""
configure create deploy disable edit enable insert install modify patch publish restart rollback run scale start stop
update upgrade upload upsert write
""")
# What runs whatever it is given.
CODE = words("""
bash cmd code command commands console javascript lua powershell python ruby script scripts sh shell sql ssh statement
statements terminal
""")
DATABASES = words("database databases db sql")
ANYTHING = words("any anything arbitrary custom graphql mutation mutations raw")
# Two words of a name that are another verb than the first of them.
PHRASES = frozenset({("check", "in"), ("check", "out"), ("select", "into")})
SENSITIVE = words("""
credential credentials kubeconfig passphrase password passwords secret secrets token tokens
""")
ACCESS = words("""
access acl acls certificate certificates credential credentials firewall group groups iam identity key keys member
members password permission permissions policies policy rbac role roles secret secrets token tokens trust user users
""")


def _forms() -> dict[str, str]:
    """The base, third person and gerund of every verb, to the verb."""
    found: dict[str, str] = {}
    for verb in VERBS:
        stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
        third = verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeiou" else verb + "s"
        third = verb + "es" if verb.endswith(("s", "x", "sh", "ch")) else third
        for form in (verb, third, stem + "ing", verb + verb[-1] + "ing"):
            found.setdefault(form, verb)
    return found


FORMS = _forms()

"""PostgreSQL refuses to run as root; as root it runs as the account `nobody`, which every system has.

Rules:
- No account is created. Only the folders that PostgreSQL writes are given to `nobody`.
- `nobody` must be able to pass through the folders above the data and above PostgreSQL's programs. Where it cannot
  (a checkout below /root, a folder of mktemp), they get the permission to pass (`o+x`, never to read), and a line in
  the log says so. The programs themselves get `o+rX` if a strict umask hid them.
- Without root nothing here does anything.
"""

import logging
import os
import pwd
import shutil
import stat
from pathlib import Path
from typing import Any

from deploy.servers import ServerError

_ACCOUNT = "nobody"
_log = logging.getLogger(__name__)


def account() -> str | None:
    """The account that PostgreSQL must run as; None: as ourselves."""
    return _ACCOUNT if os.geteuid() == 0 else None


def as_account() -> dict[str, Any]:
    """The arguments of subprocess that make a child run as that account."""
    user = account()
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def admit(folder: Path) -> None:
    """Make our own `folder` private, but for the account that PostgreSQL runs as, which may pass through."""
    folder.chmod(0o711 if account() else 0o700)


def give(folder: Path) -> None:
    """Make `folder` private to the account that PostgreSQL runs as, and reachable for it.

    Raises ServerError if it exists and is somebody else's (its name in the temporary folder can be guessed).
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = account()
    found = folder.lstat()
    ours = {os.geteuid(), pwd.getpwnam(user).pw_uid} if user else {os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
        raise ServerError(f"{folder}: is somebody else's; remove it or use another data folder")
    folder.chmod(0o700)
    if user:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
        _let_pass(folder)


def show(folder: Path) -> None:
    """Let the account that PostgreSQL runs as read and run what is in `folder`."""
    if account() is None or not folder.exists():
        return
    _let_pass(folder)
    if folder.stat().st_mode & stat.S_IROTH:
        return
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _let_pass(path: Path) -> None:
    for folder in path.resolve().parents:
        mode, owner = folder.stat().st_mode, folder.owner()
        if owner != _ACCOUNT and not mode & stat.S_IXOTH:
            _log.warning("%s: gets o+x, so that PostgreSQL can run as %s", folder, _ACCOUNT)
            folder.chmod(mode | stat.S_IXOTH)

"""Packages of npm for the tests: fetched once for a checkout, by exact versions, into `.dev/`.

Without Node the tests that need them fail, and say so.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / ".dev" / "npm"


class NodeMissingError(Exception):
    """The tests that start a program on Node cannot run."""


def fetched(name: str, manifest: Mapping[str, Any]) -> Path:
    """The folder with the packages of a manifest, fetched where it is not there yet; safe for processes side by side.

    Args:
        name: of the folder; another manifest needs another name.
        manifest: a package.json whose versions are exact.
    """
    if missing := [program for program in ("node", "npm") if shutil.which(program) is None]:
        raise NodeMissingError(f"{' and '.join(missing)} not found: the tests start {name}, install Node 20 or newer")
    folder = FOLDER / name
    if folder.exists():
        return folder
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as unfinished:
        whole = Path(unfinished, "whole")
        whole.mkdir()
        (whole / "package.json").write_text(json.dumps(manifest))
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel", "error")
        command = ("npm", "install", *quiet, "--prefix", str(whole))
        done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise NodeMissingError(f"npm could not install what {name} needs: {done.stderr[-1000:]}")
        place(whole, folder)
    return folder


def place(whole: Path, folder: Path) -> None:
    """Put a finished folder where it belongs, unless another process was faster."""
    try:
        whole.rename(folder)
    except OSError:
        if not folder.exists():
            raise

"""Where things that can be made again are kept between runs."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def cache_dir() -> Path:
    """The folder for caches: `$SCRIPTORIUM_CACHE`, else `scriptorium` in the user's own cache folder.

    The folder need not exist. Linux follows the XDG Base Directory specification.
    """
    if chosen := os.environ.get("SCRIPTORIUM_CACHE"):
        return Path(chosen)
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "scriptorium"


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that other processes see the old file or the new one, never a part.

    Makes missing parent folders.

    Raises:
        OSError: the folder cannot be written, or the disk is full; `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise

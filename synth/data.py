"""The files that travel with the code: `configs/`, `corpora/` and `fonts/`."""

from __future__ import annotations

from pathlib import Path

from augment.errors import ScriptoriumError

_PACKAGE = Path(__file__).resolve().parent
# setup.cfg installs the three folders as parts of this package; in a checkout they lie at the top
_PLACES = (_PACKAGE / "shipped", _PACKAGE.parent)


def data_file(name: str) -> Path:
    """The file or folder `name`, such as `fonts/catalog.yml`, in a checkout and in an installed wheel alike.

    Raises:
        ScriptoriumError: it is not there, so the installation is damaged.
    """
    for place in _PLACES:
        if (place / name).exists():
            return place / name
    raise ScriptoriumError(f"{name}: not found beside {_PACKAGE}; install scriptorium again")

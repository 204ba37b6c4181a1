"""The one error that people can cause."""

from __future__ import annotations


class ScriptoriumError(Exception):
    """Something the user can mend: says what is wrong, where, and what to do, on one line.

    Command lines print it and exit with status 2; anything else that escapes is a bug.
    """

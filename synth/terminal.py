"""What the command lines share: errors on one line, exit statuses of signals, options with several values."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from augment.errors import ScriptoriumError

_OVERRIDE = ("-o", "--override")
# Raised by click since 8.2 for a group without a command; it shows the help.
_HELP_WANTED: type[Exception] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


def complain(text: str) -> None:
    """Print a line on stderr; names of files need not be UTF-8."""
    click.echo(text.encode(errors="backslashreplace").decode(), err=True)


def _finalizing(frame: FrameType | None) -> bool:
    """Whether a `__del__` is at work, where Python drops exceptions."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """SIGTERM is a `KeyboardInterrupt` like Ctrl-C; yields a list that then holds the exit status for it."""
    status: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        # `timeout` sends it twice; the second one must not disturb the tidying up.
        if status:
            return
        if _finalizing(frame):
            later = threading.Timer(0.05, os.kill, (os.getpid(), number))
            later.daemon = True
            later.start()
        else:
            status.append(128 + number)
            raise KeyboardInterrupt

    # Only the main thread may set handlers; where the signal is ignored or handled, that stays so.
    mine = threading.current_thread() is threading.main_thread() and (
        signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if mine:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield status
    finally:
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Commands(click.Group):
    """Prints what the user can mend on one line, and exits with 2; with 130 or 143 after Ctrl-C or SIGTERM.

    The group's own name begins the lines.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; see `click.Group.invoke`."""
        with _terminable() as status:
            return self._invoke(ctx, status)

    def _invoke(self, ctx: click.Context, status: list[int]) -> Any:
        try:
            return super().invoke(ctx)
        except ScriptoriumError as error:
            complain(f"{self.name}: {error}")
            # By its name: the module it is of takes long to import.
            sys.exit((status or [130])[0] if type(error).__name__ == "Interrupted" else 2)
        except KeyboardInterrupt:
            complain(f"{self.name}: interrupted")
            sys.exit((status or [130])[0])
        except _HELP_WANTED:
            raise
        except click.UsageError as error:
            command = (error.ctx or ctx).command_path
            complain(f"{command}: {error.format_message().rstrip('.')}; see {command} --help")
            sys.exit(2)


class Several(click.Command):
    """Its options with `multiple` take several values after one name: `--corpus a.txt b.txt`, `-o a=1 b=2`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the name before each value; see `click.Command.parse_args`."""
        several = {
            name
            for option in self.params
            if isinstance(option, click.Option) and option.multiple
            for name in option.opts
        }
        spread: list[str] = []
        name = ""
        taken = 0
        for arg in args:
            if arg.startswith("-") and arg != "-":
                option, sign, _ = arg.partition("=")
                name, taken = (option if option in several else ""), int(bool(sign))
                spread.append(arg)
                continue
            if name and taken and not (name in _OVERRIDE and "=" not in arg):
                spread.append(name)
            taken += 1
            spread.append(arg)
        return super().parse_args(ctx, spread)

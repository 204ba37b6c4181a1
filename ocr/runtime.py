"""Set up the process before Paddle is imported: threads, memory, and MKL's fast path on AMD processors.

The MKL in Paddle's Linux wheels looks at the processor's maker and takes a slow path on AMD. `MKL_DEBUG_CPU_TYPE` tells
it what the processor can do instead: 7 for AVX-512, 5 for AVX2. A type that the processor lacks is an illegal
instruction, so it follows the processor's own flags. Results agree to rounding; see docs/training.md for figures.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import platform
import signal
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

_MKL = "MKL_DEBUG_CPU_TYPE"
_AVX512 = frozenset(("avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"))
_AVX2 = frozenset(("avx2", "fma"))
# Parameters of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


@dataclass(frozen=True)
class Processor:
    """What the processor says of itself.

    Attributes:
        vendor: such as "AuthenticAMD"; empty where unknown.
        model: its name.
        flags: the instruction sets it has, as Linux names them.
    """

    vendor: str
    model: str
    flags: frozenset[str]

    @classmethod
    def read(cls, cpuinfo: str | None = None) -> Processor:
        """From the text of /proc/cpuinfo (read if not given); all empty where there is none."""
        if cpuinfo is None:
            try:
                cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
            except OSError:
                cpuinfo = ""
        found: dict[str, str] = {}
        for line in cpuinfo.splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
        model = found.get("model name", platform.processor())
        return cls(found.get("vendor_id", ""), model, frozenset(found.get("flags", "").split()))

    @property
    def mkl_type(self) -> str | None:
        """The value of `MKL_DEBUG_CPU_TYPE` that gives an AMD processor MKL's fast path; None where it is of no use."""
        if self.vendor != "AuthenticAMD":
            return None
        if self.flags >= _AVX512:
            return "7"
        return "5" if self.flags >= _AVX2 else None


@dataclass(frozen=True)
class Runtime:
    """How the process was set up.

    Attributes:
        processor: see `Processor`.
        threads: processor threads of the network.
        mend: what was done about MKL on AMD, for people; empty where nothing had to be done.
    """

    processor: Processor
    threads: int
    mend: str

    def header(self) -> str:
        """One line for the head of a run."""
        import_paddle()
        import paddle

        parts = [f"Paddle {paddle.__version__}", f"{self.threads} thread{'s' if self.threads > 1 else ''}"]
        parts += [part for part in (self.processor.model, self.mend) if part]
        return ", ".join(parts)


def start(threads: int = 0, mend: bool = True) -> Runtime:
    """Set up the process; call it before anything imports Paddle.

    Args:
        threads: of the network; 0: all cores, but one where MKL takes its slow path on AMD: more make it slower.
        mend: use MKL's fast path on AMD processors. A value that the environment has already is respected.
    """
    processor = Processor.read()
    kind = processor.mkl_type
    said = ""
    slow = False
    if kind is not None:
        if _MKL in os.environ:
            said = f"MKL told by {_MKL}={os.environ[_MKL]} of the environment"
        elif not mend:
            said, slow = "MKL's fast path switched off", True
        elif "paddle" in sys.modules:
            said, slow = "MKL's fast path not used: Paddle was imported before", True
        else:
            os.environ[_MKL] = kind
            said = f"MKL's fast path for AMD ({'AVX-512' if kind == '7' else 'AVX2'})"
    threads = threads or (1 if slow else cores())
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    _keep_memory()
    return Runtime(processor, threads, said)


def import_paddle() -> None:
    """Import Paddle after `start`, and take back what it does to the whole process.

    It takes SIGTERM away from its handler in Python, so that the signal ends a command with a trace of Paddle's and
    nothing is tidied up; and it sets up the root logger, so that other libraries begin to talk.
    """
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(said):
            warnings.filterwarnings("ignore", "No ccache found")  # nothing is compiled here
            import paddle  # noqa: F401
    finally:
        # It warns of more than one thread, which a build with OpenBLAS would not bear.
        sys.stderr.writelines(line for line in said.getvalue().splitlines(True) if "OMP_NUM_THREADS" not in line)

    # Said at every training step's first batch normalisation; it holds nothing that one could act on.
    warnings.filterwarnings("ignore", "When training, we now always track", UserWarning, r"paddle\.nn\.layer\.norm")
    root.setLevel(level)
    root.handlers[:] = handlers
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def cores() -> int:
    """Cores for this process: those it may use, shared among the processes that train together on this machine."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    # The launcher of several processes tells each where it is and where all are.
    host = os.environ.get("PADDLE_CURRENT_ENDPOINT", "").rpartition(":")[0]
    ends = os.environ.get("PADDLE_TRAINER_ENDPOINTS", "").split(",")
    here = sum(end.rpartition(":")[0] == host for end in ends)
    return max(1, count // max(1, here))


def _keep_memory() -> None:
    """Let glibc keep what was freed: Paddle frees and takes back each layer's arrays in every step.

    Otherwise arrays above 32 MB go back to the system each time, and clearing their pages anew costs more than many a
    layer's arithmetic.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    for parameter, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 * 2**20)):
        library.mallopt(parameter, value)

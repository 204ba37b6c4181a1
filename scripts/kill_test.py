#!/usr/bin/env python3
"""Kill `synth generate` at random moments, resume it, and compare the records with those of an uninterrupted run.

    scripts/kill_test.py --kills 100

Each data set is killed (SIGKILL, the parent alone or its whole process group) and resumed, each time with another
number of workers, until it is complete; then its records, manifest and recipe must be those of the uninterrupted run.
Exits with 1 and names the data set otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lmdb

WORDS = ["Quito", "fox", "quick", "brown", "forty-two", "wizards", "over", "a", "lazy", "dog"]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 by file; for a shard that of its keys and values in order."""
    found = {}
    for path in sorted(folder.rglob("*")):
        digest = hashlib.sha256()
        if path.name == "data.mdb":
            with lmdb.open(str(path.parent), readonly=True, lock=False) as env, env.begin() as txn:
                for key, value in txn.cursor():
                    digest.update(b"%d %d " % (len(key), len(value)) + key + value)
        elif path.is_file():
            digest.update(path.read_bytes())
        else:
            continue
        found[str(path.relative_to(folder))] = digest.hexdigest()
    return found


def run(command: list[str], workers: int, kill_after: float | None, whole_group: bool) -> bool:
    """Whether it was killed; an end of its own must be a good one."""
    process = subprocess.Popen(
        [*command, "--workers", str(workers), "--resume"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.communicate()
        return True
    if process.returncode:
        sys.exit(f"exit status {process.returncode}:\n{said}")
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--count", type=int, default=6000, help="samples in a data set")
    parser.add_argument("--corpus", type=Path, help="default: a few words")
    parser.add_argument("--seed", type=int, default=0, help="of moments and workers, and of the data sets")
    parser.add_argument("--synth", default=f"{shlex.quote(sys.executable)} -m synth.cli", help="the command")
    parser.add_argument("--options", default="-o output.shard_size=1024", help="further options of `synth generate`")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as place:
        corpus = arguments.corpus or Path(place) / "words.txt"
        if arguments.corpus is None:
            corpus.write_text("\n".join(WORDS) + "\n", encoding="utf-8")

        def command(output: Path) -> list[str]:
            made = [*shlex.split(arguments.synth), "generate", "--corpus", str(corpus), "--output", str(output)]
            made += ["--count", str(arguments.count), "--seed", str(arguments.seed)]
            return made + shlex.split(arguments.options)

        reference = Path(place) / "reference"
        run(command(reference), 1, None, False)  # fills the caches, so that the next one is timed warm
        shutil.rmtree(reference)
        began = time.monotonic()
        run(command(reference), 1, None, False)
        duration = time.monotonic() - began
        expected = digests(reference)
        kills = sets = 0
        while kills < arguments.kills:
            output = Path(place) / f"set{sets}"
            here = 0
            while run(command(output), rng.randint(1, 4), rng.uniform(0, duration), rng.random() < 0.5):
                here += 1
                if kills + here >= arguments.kills:
                    run(command(output), rng.randint(1, 4), None, False)
                    break
            kills += here
            sets += 1
            found = digests(output)
            if found != expected:
                differing = sorted(name for name in expected | found if expected.get(name) != found.get(name))
                sys.exit(f"data set {sets}, killed {here} times, differs in {', '.join(differing)}")
            left = sorted(path.name for path in Path(place).glob(f".{output.name}.*"))
            if left:
                sys.exit(f"data set {sets}: left behind: {', '.join(left)}")
            shutil.rmtree(output)
            print(f"data set {sets}: {here} kills, the same ({kills} of {arguments.kills})", flush=True)
    print(f"{kills} kills, {sets} data sets, all as the uninterrupted one ({duration:.1f} s)")


if __name__ == "__main__":
    main()

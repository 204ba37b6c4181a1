"""Free fonts by script, brought without root by the machine's own package clients or straight from npm's registry."""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from augment.errors import ScriptoriumError
from synth.data import data_file
from synth.fonts import index

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOWNLOAD_SECONDS = 900
_UNPACK_SECONDS = 120
_ANSWER_SECONDS = 30
_PATIENCE = 3
_REGISTRY = "https://registry.npmjs.org"
_MOST_METADATA = 16 << 20  # bytes
_MOST_PACKAGE = 256 << 20  # bytes; the largest, of Han, have 90 MB
_PIECE = 1 << 18
_WEIGHTS = (400, 700)  # regular and bold, of the nine that @fontsource packages may have


@dataclass(frozen=True)
class Family:
    """A font family of the catalogue and the packages that hold it; at least one of the two is named.

    `distinct`: a design that none of the entry's Debian packages has, so it is brought from npm even where the others
    come from Debian.
    """

    family: str
    licence: str
    debian: str | None = None
    npm: str | None = None
    distinct: bool = False


@dataclass(frozen=True)
class Script:
    """One entry of `fonts/catalog.yml`, which explains the fields."""

    code: str
    name: str
    aliases: tuple[str, ...]
    sample: str
    subsets: tuple[str, ...]
    elsewhere: str
    families: tuple[Family, ...]


@dataclass(frozen=True)
class Installed:
    """One family that is now in the font folder.

    Attributes:
        script: English name of the script it was asked for.
        family: its name in the catalogue.
        package: the package it came from.
        folder: where its files are, with the licence beside them.
        faces: how many usable faces it has that cover the script's sample.
        licence: SPDX expression.
        present: it was there before.
    """

    script: str
    family: str
    package: str
    folder: Path
    faces: int
    licence: str
    present: bool


@dataclass(frozen=True)
class InstallReport:
    """What `install` did: the families that are there, and those that could not be had, with reasons."""

    target: Path
    families: tuple[Installed, ...]
    missing: tuple[tuple[str, str], ...]

    @property
    def faces(self) -> int:
        """Usable faces in all."""
        return sum(item.faces for item in self.families)

    def text(self) -> str:
        """What was brought, where, under which licence, and what could not be had; for people to read."""
        script = max((len(item.script) for item in self.families), default=0)
        family = max((len(item.family) for item in self.families), default=0)
        lines = [
            f"{item.script:<{script}}  {item.family:<{family}}  {_faces(item.faces):>8}  {item.licence}, "
            f"from {item.package}{', was there' if item.present else ''}"
            for item in self.families
        ]
        lines += [f"not had: {family}: {reason}" for family, reason in self.missing]
        lines.append(f"{_faces(self.faces)} in {self.target}")
        return "\n".join(lines) + "\n"


class _Failure(Exception):
    """Why a package could not be brought; one line."""


@cache
def catalog() -> dict[str, Script]:
    """The font catalogue, by ISO 15924 code (or BCP 47 language-script)."""
    with data_file("fonts/catalog.yml").open(encoding="utf-8") as file:
        entries = yaml.safe_load(file)
    return {
        code: Script(
            code,
            entry["name"],
            tuple(entry["aliases"]),
            entry["sample"],
            tuple(entry["subsets"]),
            entry["elsewhere"],
            tuple(Family(**family) for family in entry["families"]),
        )
        for code, entry in entries.items()
    }


def find_script(name: str) -> Script:
    """The catalogue's entry for a code, an English name or an alias; case, spaces and marks do not matter.

    Raises:
        ScriptoriumError: there is none; names the nearest one, and all.
    """
    entries = catalog()
    known = {_plain(word): entry for entry in entries.values() for word in (entry.code, entry.name, *entry.aliases)}
    if entry := known.get(_plain(name)):
        return entry
    near = difflib.get_close_matches(_plain(name), known, n=1)
    hint = f"did you mean {known[near[0]].name}? " if near else ""
    names = ", ".join(f"{entry.name} ({entry.code})" for entry in entries.values())
    raise ScriptoriumError(f"no fonts are catalogued for the script {name!r}; {hint}Known: {names}")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def install(
    scripts: Sequence[str], target: Path | None = None, log: Callable[[str], None] | None = None
) -> InstallReport:
    """Bring the catalogue's free fonts for some scripts into a folder that is searched by default.

    A package comes by `apt-get download` and `dpkg-deb -x` where both exist, else by `npm pack`, or without npm from
    the registry itself (`npm_config_registry`, else registry.npmjs.org), checked by its SHA-512; the WOFF2 files of
    npm's packages become TrueType. Each family gets a folder of its own, `target/PACKAGE/FAMILY`, which appears whole
    or not at all; one that is there already is left alone.

    Args:
        scripts: ISO 15924 codes, English names or aliases.
        target: the folder; None means `synth.fonts.index.installed_dir()`.
        log: called with one line per step.

    Raises:
        ScriptoriumError: an unknown script; the folder cannot be written; or no family could be had for one of the
            scripts, for want of a network, say (what the others brought stays).
    """
    wanted = list({entry.code: entry for entry in map(find_script, scripts)}.values())
    target = index.installed_dir() if target is None else target
    say = log or (lambda line: None)
    installed: list[Installed] = []
    missing: list[tuple[str, str]] = []
    empty: list[tuple[Script, str]] = []
    with tempfile.TemporaryDirectory(prefix="scriptorium-fonts-") as work:
        packages = _Packages(Path(work), say)
        for script in wanted:
            brought, failed = _install_script(script, target, packages, say)
            installed += brought
            missing += failed
            if not brought:
                empty.append((script, failed[-1][1]))
    if empty:
        names = ", ".join(script.name for script, _ in empty)
        raise ScriptoriumError(
            f"no font for {names}: {empty[0][1]}; without a network, put font files into {target} yourself"
        )
    return InstallReport(target, tuple(installed), tuple(missing))


def _install_script(
    script: Script, target: Path, packages: _Packages, say: Callable[[str], None]
) -> tuple[list[Installed], list[tuple[str, str]]]:
    brought: list[Installed] = []
    failed: list[tuple[str, str]] = []
    used: set[str] = set()
    for family in sorted(script.families, key=lambda family: family.debian is None):
        if not (family.debian or family.distinct) and "apt" in used:
            continue  # for machines without apt-get: the same designs again, or large
        reason = ""
        for client, package in packages.sources(family):
            folder = target / _file_name(package) / _file_name(family.family)
            faces = len(_covering(script, folder, packages.cache)) if folder.is_dir() else 0
            present = faces > 0
            if not present:
                try:
                    faces = _bring(script, family, packages.fetch(client, package), client, folder, packages.cache)
                except _Failure as failure:
                    reason = str(failure)
                    continue
            used.add(client)
            state = "already there" if present else f"{_faces(faces)} from {package}"
            say(f"{script.name}: {family.family}: {state} ({family.licence})")
            brought.append(Installed(script.name, family.family, package, folder, faces, family.licence, present))
            break
        else:
            if reason:
                say(f"{script.name}: {family.family}: {reason}")
                failed.append((family.family, reason))
    return brought, failed


def _faces(count: int) -> str:
    return f"{count} face{'' if count == 1 else 's'}"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", name).strip("-.")


def _covering(script: Script, folder: Path, cache: Path) -> list[index.FaceInfo]:
    try:
        faces = index.scan([folder], cache_dir=cache).faces
    except ScriptoriumError:
        return []
    return [face for face in faces if all(face.covers(ord(char)) for char in script.sample)]


def _bring(script: Script, family: Family, unpacked: Path, client: str, folder: Path, cache: Path) -> int:
    """Put the family's files, and the licence, into `folder`; returns the number of faces for the script."""
    with _aside(folder) as aside:
        if client == "npm":
            _convert(unpacked, script, aside)
            licences = list(unpacked.glob("LICENSE*"))
        else:
            covering = _covering(script, unpacked, cache)
            if not covering:
                raise _Failure(f"the package has no font that covers {script.name}")
            files = {face.path for face in covering if face.family.strip() == family.family}
            if not files:
                names = ", ".join(sorted({face.family for face in covering}))
                raise _Failure(f"the package does not hold this family, but {names}")
            for file in sorted(files):
                shutil.copyfile(file, aside / file.name)
            licences = list(unpacked.glob("usr/share/doc/*/copyright"))
        for licence in licences:
            shutil.copyfile(licence, aside / f"{licence.name}.txt")
        faces = len(_covering(script, aside, cache))
        if not faces:
            raise _Failure(f"the package has no font that covers {script.name}")
    return faces


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` if all goes well."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            yield aside
            aside.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            if not any(folder.parent.iterdir()):
                folder.parent.rmdir()
    except OSError as error:
        raise ScriptoriumError(
            f"{error.filename or folder}: cannot be written ({error.strerror}); choose another font folder"
        ) from error


class _Packages:
    """Fetches and unpacks each package once."""

    def __init__(self, work: Path, say: Callable[[str], None]) -> None:
        self._work, self._say = work, say
        self.cache = work / "scan"  # what is scanned here is gone soon: no matter for the user's own cache
        self._failures = {"apt": 0, "npm": 0}  # in a row
        self._fetched: dict[str, Path | str] = {}  # where it is unpacked, or why it is not
        self._apt, self._dpkg, self._npm = map(shutil.which, ("apt-get", "dpkg-deb", "npm"))

    def sources(self, family: Family) -> list[tuple[str, str]]:
        """(client, package) pairs to try in turn for a family."""
        found = []
        if family.debian and self._apt and self._dpkg:
            found.append(("apt", family.debian))
        if family.npm:
            found.append(("npm", family.npm))
        return found

    def fetch(self, client: str, package: str) -> Path:
        """The folder with the package's content."""
        if package not in self._fetched:
            if self._failures[client] >= _PATIENCE:  # offline, most likely: each further try may last a minute
                raise _Failure(next(why for why in reversed(self._fetched.values()) if isinstance(why, str)))
            self._say(f"fetching {package} ...")
            folder = self._work / _file_name(package)
            try:
                (self._by_apt if client == "apt" else self._by_npm)(package, folder)
                self._fetched[package] = folder
                self._failures[client] = 0
            except _Failure as failure:
                self._failures[client] += 1
                self._fetched[package] = str(failure)
        found = self._fetched[package]
        if isinstance(found, str):
            raise _Failure(found)
        return found

    def _by_apt(self, package: str, folder: Path) -> None:
        drop = self._drop(folder)
        # as root, apt-get would change to a user who may not write here
        _run([str(self._apt), "-o", "APT::Sandbox::User=root", "download", package], drop, _DOWNLOAD_SECONDS)
        found = sorted(drop.glob("*.deb"))
        if not found:
            raise _Failure(f"apt-get brought no package for {package}")
        _run([str(self._dpkg), "-x", str(found[0]), str(folder)], drop, _UNPACK_SECONDS)

    def _by_npm(self, package: str, folder: Path) -> None:
        drop = self._drop(folder)
        if self._npm:
            _run([self._npm, "pack", package], drop, _DOWNLOAD_SECONDS)
        else:
            _from_registry(package, drop / "package.tgz")
        found = sorted(drop.glob("*.tgz"))
        if not found:
            raise _Failure(f"npm brought no package for {package}")
        folder.mkdir()
        try:
            with tarfile.open(found[0]) as archive:
                for member in archive:
                    name = Path(member.name).name
                    content = archive.extractfile(member) if member.isfile() else None
                    if content and (name.endswith(".woff2") or name.startswith("LICENSE")):
                        (folder / name).write_bytes(content.read())
        except (tarfile.TarError, EOFError) as error:
            raise _Failure(f"{package}: broken archive ({error})") from error

    def _drop(self, folder: Path) -> Path:
        drop = folder.with_name(f"{folder.name}.download")
        drop.mkdir()
        return drop


def _run(command: list[str], folder: Path, seconds: int) -> None:
    """Run a package client in `folder`; its last words become the reason if it fails."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _Failure(f"{name} gave no answer in {seconds} s") from error
    except OSError as error:
        raise _Failure(f"{name} cannot be run ({error.strerror})") from error
    if done.returncode:
        words = (done.stderr or done.stdout).decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(words) if line.strip()), f"status {done.returncode}")
        raise _Failure(f"{name} failed: {last}")


def _from_registry(package: str, file: Path) -> None:
    """Write the newest archive of an npm package, as the registry's metadata (npm's abbreviated form) names it."""
    registry = (
        os.environ.get("npm_config_registry")  # noqa: SIM112  npm's own spelling
        or os.environ.get("NPM_CONFIG_REGISTRY")
        or _REGISTRY
    )
    address = f"{registry.rstrip('/')}/{package.replace('/', '%2f')}"
    text = b"".join(_pieces(address, _MOST_METADATA, accept="application/vnd.npm.install-v1+json"))
    try:
        content = json.loads(text)
        dist = content["versions"][content["dist-tags"]["latest"]]["dist"]
        archive, digests = str(dist["tarball"]), str(dist["integrity"]).split()
    except (ValueError, KeyError, TypeError) as error:
        raise _Failure(f"{address}: not the metadata of an npm package") from error
    given = [digest.partition("?")[0] for digest in digests if digest.startswith("sha512-")]
    digest = hashlib.sha512()
    with file.open("wb") as out:
        for piece in _pieces(archive, _MOST_PACKAGE):
            digest.update(piece)
            out.write(piece)
    if f"sha512-{base64.b64encode(digest.digest()).decode()}" not in given:
        raise _Failure(f"{archive}: has not the SHA-512 that the registry names")


def _pieces(address: str, most: int, accept: str = "*/*") -> Iterator[bytes]:
    """What a web server has at an address, of `most` bytes at most."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    if not address.startswith(("https://", "http://")):  # urlopen would read local files, too
        raise _Failure(f"{address}: not a web address")
    stop = time.monotonic() + _DOWNLOAD_SECONDS
    try:
        with urlopen(Request(address, headers={"Accept": accept}), timeout=_ANSWER_SECONDS) as answer:
            length = answer.headers.get("Content-Length")
            got = 0
            while piece := answer.read1(_PIECE):
                got += len(piece)
                if got > most:
                    raise _Failure(f"{address}: larger than {most >> 20} MB")
                if time.monotonic() > stop:
                    raise _Failure(f"{address}: not there whole in {_DOWNLOAD_SECONDS} s")
                yield piece
            if length is not None and got < int(length):
                raise _Failure(f"{address}: broke off after {got:,} of {int(length):,} bytes")
    except HTTPError as error:
        raise _Failure(f"{address}: {error.code} {error.reason}") from error
    except OSError as error:  # no answer, from whatever this server has
        reason = getattr(error, "reason", error)
        words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise _Failure(f"{urlsplit(address).netloc}: {words}") from error
    except (HTTPException, ValueError) as error:
        raise _Failure(f"{address}: {str(error) or type(error).__name__}") from error


def _convert(unpacked: Path, script: Script, folder: Path) -> None:
    """Join a @fontsource package's WOFF2 parts for a script, and the Latin ones, to one TrueType file per weight.

    The parts are cut by code point range, `FAMILY-SUBSET-WEIGHT-normal.woff2`; the one for Bengali, say, has neither
    digits nor a space.
    """
    for weight in _WEIGHTS:
        parts = []
        for subset in dict.fromkeys((*script.subsets, "latin")):
            parts += sorted(unpacked.glob(f"*-{subset}-{weight}-normal.woff2"))[:1]
        ending = f"-{script.subsets[0]}-{weight}-normal.woff2"
        if parts and parts[0].name.endswith(ending):
            (folder / f"{parts[0].name.removesuffix(ending)}-{weight}.ttf").write_bytes(_joined(parts))


def _joined(parts: list[Path]) -> bytes:
    """One TrueType font from parts of it; the names are those of the first."""
    import io

    from fontTools.merge import Merger

    with tempfile.TemporaryDirectory(prefix="scriptorium-join-") as scratch:
        plain = []
        try:
            for at, part in enumerate(parts):
                plain.append(Path(scratch) / f"{at}.ttf")
                plain[-1].write_bytes(index.unpack(part.read_bytes()))
            if len(plain) == 1:
                return plain[0].read_bytes()
            out = io.BytesIO()
            Merger().merge([str(path) for path in plain]).save(out)
            return out.getvalue()
        except Exception as error:  # fontTools has no error of its own for broken fonts
            raise _Failure(f"{parts[0].name} cannot be converted ({error})") from error

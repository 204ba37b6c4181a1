from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import threading
import unicodedata
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from font_maker import save_font

from augment.errors import ScriptoriumError
from synth.data import data_file
from synth.fonts import index, install, letters
from synth.fonts.index import scan

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the pretended package clients are shell scripts")

TAMIL, BENGALI = install.find_script("tamil"), install.find_script("bengali")


class World:
    """A PATH with pretended package clients only, and the packages that they can bring."""

    def __init__(self, root: Path) -> None:
        self.bin, self.store, self.target = root / "bin", root / "store", root / "target"
        self.calls = root / "calls"
        for folder in (self.bin, self.store):
            folder.mkdir()

    def client(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "{name} $*" >> "{self.calls}"\n{body}\n')
        path.chmod(0o755)

    def apt(self) -> None:
        """`apt-get download` copies an "archive", which is a folder's path; `dpkg-deb -x` copies that folder."""
        self.client(
            "apt-get",
            f'for package; do :; done\n[ -d "{self.store}/$package" ] || {{ echo "W: x" >&2;'
            f' echo "E: Unable to locate package $package" >&2; echo >&2; exit 100; }}\n'
            f'echo "{self.store}/$package" > "${{package}}_1_all.deb"',
        )
        self.client("dpkg-deb", 'mkdir -p "$3" && cp -r "$(cat "$2")/." "$3"')

    def npm(self) -> None:
        self.client(
            "npm",
            f'name=$(echo "$2" | tr -d @ | tr / -)\n[ -f "{self.store}/$name.tgz" ] ||'
            ' { echo "npm error network getaddrinfo ENOTFOUND" >&2; exit 1; }\n'
            f'cp "{self.store}/$name.tgz" "$name-1.0.0.tgz"',
        )

    def debian(self, package: str, *fonts: tuple[str, str, str]) -> None:
        """A package of fonts, as (file name, family, characters)."""
        for name, family, chars in fonts:
            save_font(self.store / package / "usr/share/fonts/truetype" / name, chars, family=family)
        doc = self.store / package / "usr/share/doc" / package
        doc.mkdir(parents=True)
        (doc / "copyright").write_text(f"licence of {package}")

    def fontsource(self, name: str, parts: dict[str, str], family: str, weights: tuple[int, ...] = (400, 700)) -> None:
        folder = self.store / name
        for subset, chars in parts.items():
            for weight in weights:
                save_font(folder / f"files/{name}-{subset}-{weight}-normal.woff2", chars, family=family, weight=weight)
        (folder / "LICENSE").write_text("OFL")
        with tarfile.open(self.store / f"fontsource-{name}.tgz", "w:gz") as archive:
            archive.add(folder, "package")

    def called(self, word: str) -> int:
        return sum(word in line for line in self.calls.read_text().splitlines()) if self.calls.exists() else 0


class Registry(ThreadingHTTPServer):
    """A web server with the packages of a World, as npm's registry has them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.paths: dict[str, bytes] = {}
        self.accepted: list[tuple[str, str | None]] = []
        self.shortened = 0  # bytes that each answer promises and does not give

    def publish(self, world: World, name: str, **dist: Any) -> None:
        """Offer a package of the world; `dist` says what its metadata have wrong."""
        archive = (world.store / f"fontsource-{name}.tgz").read_bytes()
        digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
        tarball = f"{self.address}/@fontsource/{name}/-/{name}-1.1.0.tgz"
        good = {"tarball": tarball, "integrity": f"sha1-x sha512-{digest}"}
        versions = {"1.0.0": {"dist": {}}, "1.1.0": {"dist": good | dist}}
        metadata = {"dist-tags": {"latest": "1.1.0"}, "versions": versions}
        self.paths[f"/@fontsource%2f{name}"] = json.dumps(metadata).encode()
        self.paths[tarball.removeprefix(self.address)] = archive


class Answer(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        self.server.accepted.append((self.path, self.headers["Accept"]))
        content = self.server.paths.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) - self.server.shortened])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry) -> World:
    made = World(tmp_path)
    monkeypatch.setenv("PATH", str(made.bin))
    monkeypatch.setenv("SCRIPTORIUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_registry", f"{registry.address}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(letters, "LEAST_RIGHT", 0.0)  # letters of these fonts are rectangles
    return made


def test_by_apt(world: World) -> None:
    world.apt()
    world.debian(
        "fonts-lohit-taml",
        ("Lohit-Tamil.ttf", "Lohit Tamil", TAMIL.sample),
        ("Other.ttf", "Other", TAMIL.sample),
        ("Latin.ttf", "Lohit Tamil", "ABC"),
    )
    lines: list[str] = []
    report = install.install(["Tamil"], world.target, lines.append)
    (lohit,) = report.families
    folder = world.target / "fonts-lohit-taml" / "Lohit-Tamil"
    assert (lohit.folder, lohit.faces, lohit.licence, lohit.present) == (folder, 1, "OFL-1.1", False)
    assert {path.name for path in folder.iterdir()} == {"Lohit-Tamil.ttf", "copyright.txt"}
    assert (folder / "copyright.txt").read_text() == "licence of fonts-lohit-taml"
    assert [face.family for face in scan([world.target]).faces] == ["Lohit Tamil"]
    # what the distribution lacks is told, with the client's last words
    assert dict(report.missing)["Samyak Tamil"] == "apt-get failed: E: Unable to locate package fonts-samyak-taml"
    assert any("Lohit Tamil: 1 face from fonts-lohit-taml (OFL-1.1)" in line for line in lines)


def test_a_second_time_nothing_is_fetched(world: World) -> None:
    world.apt()
    world.debian("fonts-lohit-taml", ("a.ttf", "Lohit Tamil", TAMIL.sample))
    install.install(["Taml"], world.target)
    before = world.called("apt-get -o APT::Sandbox::User=root download fonts-lohit-taml")
    lines: list[str] = []
    report = install.install(["taml", "TAMIL"], world.target, lines.append)
    assert [item.present for item in report.families] == [True]
    assert world.called("apt-get -o APT::Sandbox::User=root download fonts-lohit-taml") == before == 1
    assert any("already there" in line for line in lines)


def test_damaged_folder_is_brought_again(world: World) -> None:
    world.apt()
    world.debian("fonts-lohit-taml", ("a.ttf", "Lohit Tamil", TAMIL.sample))
    (item,) = install.install(["taml"], world.target).families
    (item.folder / "a.ttf").write_bytes(b"broken")
    (again,) = install.install(["taml"], world.target).families
    assert not again.present and again.faces == 1
    assert {path.name for path in item.folder.parent.iterdir()} == {item.folder.name}


def test_one_download_for_several_families_and_scripts(world: World) -> None:
    world.apt()
    world.debian(
        "fonts-noto-core",
        ("t.ttf", "Noto Sans Tamil", TAMIL.sample),
        ("u.ttf", "Noto Serif Tamil", TAMIL.sample),
        ("b.ttf", "Noto Sans Bengali", BENGALI.sample),
    )
    report = install.install(["tamil", "bangla"], world.target)
    assert {(item.script, item.family) for item in report.families} == {
        ("Tamil", "Noto Sans Tamil"),
        ("Tamil", "Noto Serif Tamil"),
        ("Bengali", "Noto Sans Bengali"),
    }
    assert report.faces == 3
    assert world.called("download fonts-noto-core") == 1


def test_by_npm(world: World) -> None:
    world.npm()
    world.fontsource(
        "noto-sans-tamil", {"tamil": TAMIL.sample, "latin": "AB 0123", "latin-ext": "ĀĂ"}, "Noto Sans Tamil"
    )
    report = install.install(["tamil"], world.target)
    (item,) = report.families
    assert item.folder == world.target / "fontsource-noto-sans-tamil" / "Noto-Sans-Tamil"
    assert {path.name for path in item.folder.iterdir()} == {
        "noto-sans-tamil-400.ttf",
        "noto-sans-tamil-700.ttf",
        "LICENSE.txt",
    }
    faces = scan([item.folder]).faces
    assert sorted(face.weight for face in faces) == [400, 700] and item.faces == 2
    for face in faces:
        assert not face.compressed and face.coverage == set(map(ord, TAMIL.sample + "AB 0123"))


def test_from_the_registry_without_a_client(world: World, registry: Registry) -> None:
    world.fontsource("noto-sans-tamil", {"tamil": TAMIL.sample, "latin": "AB 0123"}, "Noto Sans Tamil")
    registry.publish(world, "noto-sans-tamil")
    (item,) = install.install(["tamil"], world.target).families
    assert (item.package, item.faces) == ("@fontsource/noto-sans-tamil", 2)
    assert {path.name for path in item.folder.iterdir()} == {
        "noto-sans-tamil-400.ttf",
        "noto-sans-tamil-700.ttf",
        "LICENSE.txt",
    }
    assert registry.accepted[:2] == [
        ("/@fontsource%2fnoto-sans-tamil", "application/vnd.npm.install-v1+json"),
        ("/@fontsource/noto-sans-tamil/-/noto-sans-tamil-1.1.0.tgz", "*/*"),
    ]


def test_npm_is_asked_rather_than_the_registry(world: World, registry: Registry) -> None:
    world.npm()
    world.fontsource("noto-sans-tamil", {"tamil": TAMIL.sample}, "Noto Sans Tamil")
    install.install(["tamil"], world.target)
    assert registry.accepted == []


@pytest.mark.parametrize(
    ("dist", "reason"),
    [
        ({"integrity": f"sha512-{base64.b64encode(bytes(64)).decode()}"}, "1.1.0.tgz: has not the SHA-512 that"),
        ({"integrity": f"sha1-{base64.b64encode(bytes(20)).decode()}"}, "1.1.0.tgz: has not the SHA-512 that"),
        ({"tarball": "file:///etc/hostname"}, "file:///etc/hostname: not a web address"),
        ({"tarball": "http://127.0.0.1:no/x.tgz"}, "http://127.0.0.1:no/x.tgz: nonnumeric port"),
    ],
)
def test_package_that_the_registry_describes_wrongly(
    world: World, registry: Registry, dist: dict[str, str], reason: str
) -> None:
    world.fontsource("noto-serif-tamil", {"tamil": TAMIL.sample}, "Noto Serif Tamil")
    registry.publish(world, "noto-serif-tamil", **dist)
    with pytest.raises(ScriptoriumError, match=reason):
        install.install(["tamil"], world.target)
    assert not any(world.target.rglob("*"))


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"versions": {}}', b'{"dist-tags": {"latest": []}}', b"\xff"])
def test_registry_that_answers_nonsense(world: World, registry: Registry, content: bytes) -> None:
    registry.paths["/@fontsource%2fnoto-serif-tamil"] = content
    with pytest.raises(ScriptoriumError, match="noto-serif-tamil: not the metadata of an npm package"):
        install.install(["tamil"], world.target)


def test_registry_that_breaks_off(world: World, registry: Registry) -> None:
    world.fontsource("noto-serif-tamil", {"tamil": TAMIL.sample}, "Noto Serif Tamil")
    registry.publish(world, "noto-serif-tamil")
    registry.shortened = 10
    with pytest.raises(ScriptoriumError, match=r"noto-serif-tamil: broke off after [\d,]+ of [\d,]+ bytes"):
        install.install(["tamil"], world.target)


def test_package_that_is_too_large(world: World, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fontsource("noto-serif-tamil", {"tamil": TAMIL.sample}, "Noto Serif Tamil")
    registry.publish(world, "noto-serif-tamil")
    monkeypatch.setattr(install, "_MOST_PACKAGE", 100)
    with pytest.raises(ScriptoriumError, match=r"1.1.0.tgz: larger than 0 MB"):
        install.install(["tamil"], world.target)


def test_registry_that_is_not_there(world: World, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScriptoriumError, match=f"no font for Tamil: {registry.address}/.*: 404 Not Found; without"):
        install.install(["tamil"], world.target)
    lines: list[str] = []
    monkeypatch.delenv("npm_config_registry")
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    with pytest.raises(ScriptoriumError, match=r"no font for Latin: 127\.0\.0\.1:9: Connection refused; without"):
        install.install(["latin"], world.target, lines.append)
    assert sum(line.startswith("fetching") for line in lines) == 3  # then it is clear


def test_npm_steps_in_for_apt(world: World) -> None:
    world.apt()
    world.npm()
    world.fontsource("noto-sans-tamil", {"tamil": TAMIL.sample}, "Noto Sans Tamil", weights=(400,))
    (item,) = install.install(["tamil"], world.target).families
    assert (item.package, item.faces) == ("@fontsource/noto-sans-tamil", 1)


def test_npm_only_families_are_left_where_apt_serves(world: World) -> None:
    world.apt()
    world.npm()
    khmer = install.find_script("khmer")
    world.debian("fonts-khmeros", ("k.ttf", "Khmer OS", khmer.sample))
    world.fontsource("battambang", {"khmer": khmer.sample}, "Battambang")
    assert [item.family for item in install.install(["khmer"], world.target).families] == ["Khmer OS"]


def test_distinct_designs_come_from_npm_beside_debians(world: World) -> None:
    world.apt()
    world.npm()
    fraktur = install.find_script("fraktur")
    world.debian("fonts-blankenburg", ("b.ttf", "Blankenburg_UNZ1A", fraktur.sample))
    world.fontsource("grenze-gotisch", {"latin": fraktur.sample}, "Grenze Gotisch")
    families = install.install(["fraktur"], world.target).families
    assert [(item.family, item.package) for item in families] == [
        ("Blankenburg_UNZ1A", "fonts-blankenburg"),
        ("Grenze Gotisch", "@fontsource/grenze-gotisch"),
    ]


def test_package_that_lacks_the_script(world: World) -> None:
    world.apt()
    world.npm()
    world.debian("fonts-lohit-taml", ("a.ttf", "Lohit Tamil", TAMIL.sample[1:]))
    world.fontsource("noto-sans-tamil", {"tamil": TAMIL.sample[1:]}, "Noto Sans Tamil")
    world.fontsource("noto-serif-tamil", {"latin": TAMIL.sample}, "Noto Serif Tamil")
    with pytest.raises(ScriptoriumError, match=r"no font for Tamil: .*covers Tamil"):
        install.install(["tamil"], world.target)
    assert not any(world.target.rglob("*"))


def test_package_with_another_family(world: World) -> None:
    world.apt()
    world.debian("fonts-lohit-taml", ("a.ttf", "Something", TAMIL.sample))
    world.debian("fonts-samyak-taml", ("a.ttf", "Samyak Tamil", TAMIL.sample))
    report = install.install(["tamil"], world.target)
    assert [item.family for item in report.families] == ["Samyak Tamil"]
    assert dict(report.missing)["Lohit Tamil"] == "the package does not hold this family, but Something"


def test_offline(world: World) -> None:
    world.client("apt-get", 'echo "E: Failed to fetch: could not resolve" >&2; exit 100')
    world.client("dpkg-deb", "")
    world.npm()
    with pytest.raises(ScriptoriumError) as caught:
        install.install(["arabic", "thai"], world.target)
    text = str(caught.value)
    assert text.startswith("no font for Arabic, Thai: npm failed: npm error network getaddrinfo ENOTFOUND")
    assert text.endswith(f"put font files into {world.target} yourself") and "\n" not in text
    assert world.called("apt-get") == world.called("npm ") == 3  # then it is clear


def test_what_was_brought_stays(world: World) -> None:
    world.apt()
    world.debian("fonts-lohit-taml", ("a.ttf", "Lohit Tamil", TAMIL.sample))
    with pytest.raises(ScriptoriumError, match="no font for Bengali"):
        install.install(["tamil", "bengali"], world.target)
    assert len(scan([world.target]).faces) == 1


def test_apt_is_of_no_use_without_dpkg(world: World) -> None:
    world.apt()
    (world.bin / "dpkg-deb").unlink()
    with pytest.raises(ScriptoriumError, match="404 Not Found"):
        install.install(["tamil"], world.target)
    assert world.called("apt-get") == 0


def test_client_that_brings_nothing_or_hangs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.client("npm", "exit 0")
    with pytest.raises(ScriptoriumError, match="npm brought no package for @fontsource/noto-serif-tamil"):
        install.install(["tamil"], world.target)
    world.client("npm", "echo broken > x.tgz")
    with pytest.raises(ScriptoriumError, match="broken archive"):
        install.install(["tamil"], world.target)

    def hang(*_: object, timeout: int, **__: object) -> None:
        raise subprocess.TimeoutExpired("npm", timeout)

    monkeypatch.setattr(install.subprocess, "run", hang)
    with pytest.raises(ScriptoriumError, match="npm gave no answer in 900 s"):
        install.install(["tamil"], world.target)


def test_folder_that_cannot_be_written(world: World) -> None:
    world.apt()
    world.debian("fonts-lohit-taml", ("a.ttf", "Lohit Tamil", TAMIL.sample))
    world.target.write_text("a file")
    with pytest.raises(ScriptoriumError, match="cannot be written"):
        install.install(["tamil"], world.target)


def test_default_folder_is_searched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRIPTORIUM_FONTS", str(world.target))
    world.apt()
    world.debian("fonts-lohit-taml", ("a.ttf", "Lohit Tamil", TAMIL.sample))
    assert install.install(["tamil"]).target == world.target
    assert world.target in index.font_dirs()


# --- the catalogue ---


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Beng", "Beng"),
        ("BANGLA", "Beng"),
        ("nko", "Nkoo"),
        ("N'Ko", "Nkoo"),
        ("vietnamese", "vi-Latn"),
        ("Han", "Hans"),
    ],
)
def test_finds_scripts(name: str, code: str) -> None:
    assert install.find_script(name).code == code


def test_unknown_script() -> None:
    with pytest.raises(ScriptoriumError, match=r"'bengaly'; did you mean Bengali\? Known: Latin \(Latn\), ") as caught:
        install.find_script("bengaly")
    assert "\n" not in str(caught.value)
    with pytest.raises(ScriptoriumError, match=r"script 'x'; Known: "):
        install.find_script("x")


def test_catalogue_is_sound() -> None:
    entries = install.catalog()
    words: dict[str, str] = {}
    for entry in entries.values():
        for word in {install._plain(word) for word in (entry.code, entry.name, *entry.aliases)}:
            assert words.setdefault(word, entry.code) == entry.code, word
        assert len(set(entry.sample)) == len(entry.sample) >= 10
        assert unicodedata.normalize("NFC", entry.sample) == entry.sample
        assert any(family.debian for family in entry.families) and any(family.npm for family in entry.families)
        assert entry.elsewhere
        for family in entry.families:
            assert family.debian or family.npm
            assert not family.distinct or not family.debian
            assert not family.npm or family.npm.startswith("@fontsource/")
        sources = [(family.family, family.debian or family.npm) for family in entry.families]
        assert len(set(sources)) == len(sources)
    assert "//" not in data_file("fonts/catalog.yml").read_text(encoding="utf-8")
    assert len(yaml.safe_load(data_file("fonts/catalog.yml").read_text(encoding="utf-8"))) == len(entries) >= 69


def test_importing_is_light() -> None:
    code = (
        "import sys, synth.fonts.install; print([m for m in ('fontTools', 'uharfbuzz', 'numpy') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr

"""Packages, honest and hostile."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.model.errors import InvalidParameterValueError, LambdaError, ServiceError
from lambent.store import package
from lambent.store.package import PackageJob, prepare_package
from tests.unit.store.conftest import zip_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_A_ZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
TOO_LARGE = "Unzipped size must be smaller than 262144000 bytes"
EMPTY = "Uploaded file must be a non-empty zip"


def entry(name: str, mode: int = stat.S_IFREG | 0o644, system: int = 3) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = system
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = mode << 16
    return info


def archive(*entries: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for info, content in entries:
            made.writestr(info, content)
    return buffer.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    return entry(name, stat.S_IFLNK | 0o777), target.encode()


def file(name: str, content: bytes = b"x") -> tuple[zipfile.ZipInfo, bytes]:
    return entry(name), content


@pytest.fixture
def directories(tmp_path: Path) -> tuple[Path, Path]:
    zips, code = tmp_path / "zips", tmp_path / "code"
    zips.mkdir()
    code.mkdir()
    return zips, code


@pytest.fixture
def unpack(directories: tuple[Path, Path]) -> Callable[[bytes | str], Path]:
    zips, code = directories

    def run(source: bytes | str) -> Path:
        prepared = prepare_package(PackageJob(source, str(zips), str(code)))
        prepared.place()
        assert (zips / f"{prepared.reference.sha256}.zip").stat().st_size == prepared.reference.size_bytes
        return code / prepared.reference.sha256

    return run


def test_an_honest_package(unpack: Callable[[bytes | str], Path]) -> None:
    tree = unpack(
        archive(
            file("index.py", b"print()"),
            file("deep/er/módulo ü.txt"),
            (entry("bin/tool", stat.S_IFREG | 0o4711), b"#!"),
            (entry("private", stat.S_IFREG | 0o400), b"s"),
            (entry("empty/", stat.S_IFDIR | 0o700), b""),
            link("bin/alias", "tool"),
            link("up", "deep/er/../../index.py"),
            link("dangling", "not/there"),
        )
    )
    assert (tree / "index.py").read_bytes() == b"print()"
    assert (tree / "deep/er/módulo ü.txt").exists()
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in tree.rglob("*") if not path.is_symlink()}
    assert modes.pop("tool") == 0o755
    assert {modes.pop(name) for name in ("deep", "er", "empty", "bin")} == {0o755}
    assert set(modes.values()) == {0o644}
    assert os.readlink(tree / "bin/alias") == "tool"
    assert (tree / "up").read_bytes() == b"print()"
    assert stat.S_IMODE(tree.stat().st_mode) == 0o755


def test_a_file_is_moved_in(unpack: Callable[[bytes | str], Path], tmp_path: Path) -> None:
    source = tmp_path / "spooled"
    source.write_bytes(zip_bytes({"a": "b"}))
    assert (unpack(str(source)) / "a").read_text() == "b"
    assert not source.exists()


def test_the_same_content_twice_is_one(unpack: Callable[[bytes | str], Path]) -> None:
    content = zip_bytes({"a": "b"})
    assert unpack(content) == unpack(content)
    assert len(list(unpack(content).parent.iterdir())) == 1


def test_of_a_name_that_comes_twice_the_last_counts(unpack: Callable[[bytes | str], Path]) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = archive(file("a", b"first"), file("a", b"second"))
    assert (unpack(content) / "a").read_bytes() == b"second"


def test_a_jar_of_maven(unpack: Callable[[bytes | str], Path]) -> None:
    """Its entries below META-INF have all bits of the mode set."""
    tree = unpack(archive((entry("META-INF/maven/", 0xFFFF), b""), (entry("META-INF/maven/pom.xml", 0xFFFF), b"<x/>")))
    assert (tree / "META-INF" / "maven" / "pom.xml").read_bytes() == b"<x/>"


def test_backslashes_of_dos_are_separators(unpack: Callable[[bytes | str], Path]) -> None:
    tree = unpack(archive((entry("d\\a.py", system=0), b"x"), (entry("u\\b.py"), b"y")))
    assert (tree / "d" / "a.py").exists()
    assert (tree / "u\\b.py").exists()


def lying_about_size() -> bytes:
    """A deflated megabyte whose headers speak of ten bytes."""
    content = bytearray(archive(file("a", bytes(1 << 20))))
    place = content.rfind(b"PK\x01\x02")
    struct.pack_into("<L", content, place + 24, 10)
    struct.pack_into("<L", content, 22, 10)
    return bytes(content)


def with_wrong_checksum() -> bytes:
    content = bytearray(archive((entry("a"), b"hello")))
    place = content.rfind(b"PK\x01\x02")
    struct.pack_into("<L", content, place + 16, zlib.crc32(b"other"))
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(archive(file("a")))
    place = content.rfind(b"PK\x01\x02")
    content[place + 8] |= 1
    content[6] |= 1
    return bytes(content)


def huge_directory() -> bytes:
    """An end record that speaks of a central directory of 2 GB."""
    content = bytearray(archive(file("a")))
    struct.pack_into("<L", content, content.rfind(b"PK\x05\x06") + 12, 2_000_000_000)
    return bytes(content)


def of_method(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        made.writestr(zipfile.ZipInfo("a"), "x", method)
    return buffer.getvalue()


HOSTILE = {
    "no zip": (b"PK but no zip", NOT_A_ZIP),
    "empty file": (b"", EMPTY),
    "no entries": (archive(), EMPTY),
    "truncated": (zip_bytes({"a": "b" * 1000})[:-30], NOT_A_ZIP),
    "parent directory": (archive(file("../a")), NOT_A_ZIP),
    "parent directory inside": (archive(file("a/../../b")), NOT_A_ZIP),
    "dos parent directory": (archive((entry("..\\a", system=0), b"x")), NOT_A_ZIP),
    "absolute name": (archive(file("/etc/passwd")), NOT_A_ZIP),
    "drive": (archive(file("C:/a")), NOT_A_ZIP),
    "link to absolute": (archive(link("a", "/etc/passwd")), NOT_A_ZIP),
    "link out": (archive(link("a", "../b")), NOT_A_ZIP),
    "link out of a directory": (archive(link("d/a", "../../b")), NOT_A_ZIP),
    "links that lead out together": (
        archive(file("p/q/r/x"), link("p/q/r/s", "../../.."), link("t", "p/q/r/s/../..")),
        NOT_A_ZIP,
    ),
    "file behind a link": (archive(link("d", "."), file("d/a")), NOT_A_ZIP),
    "link to nothing": (archive(link("a", "")), NOT_A_ZIP),
    "long link": (archive(link("a", "b/" * 3000)), NOT_A_ZIP),
    "file and directory": (archive(file("a"), file("a/b")), NOT_A_ZIP),
    "device": (archive((entry("a", stat.S_IFCHR | 0o666), b"")), NOT_A_ZIP),
    "pipe": (archive((entry("a", stat.S_IFIFO | 0o666), b"")), NOT_A_ZIP),
    "long name": (archive(file("a" * 300)), NOT_A_ZIP),
    "long path": (archive(file("/".join(["a" * 200] * 30))), NOT_A_ZIP),
    "lie about size": (lying_about_size(), NOT_A_ZIP),
    "wrong checksum": (with_wrong_checksum(), NOT_A_ZIP),
    "encrypted": (encrypted(), NOT_A_ZIP),
    "huge directory": (huge_directory(), NOT_A_ZIP),
    "lzma": (of_method(zipfile.ZIP_LZMA), NOT_A_ZIP),
    "bzip2": (of_method(zipfile.ZIP_BZIP2), NOT_A_ZIP),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_packages_are_refused_and_leave_nothing(
    name: str, directories: tuple[Path, Path], tmp_path: Path
) -> None:
    content, text = HOSTILE[name]
    before = sorted(tmp_path.parent.iterdir())
    with pytest.raises(InvalidParameterValueError) as refusal:
        prepare_package(PackageJob(content, *map(str, directories)))
    assert refusal.value.message == text
    assert [list(directory.iterdir()) for directory in directories] == [[], []]
    assert sorted(tmp_path.iterdir()) == sorted(directories)
    assert sorted(tmp_path.parent.iterdir()) == before


def test_a_bomb_by_its_own_words(directories: tuple[Path, Path]) -> None:
    content = archive(*[file(str(number), bytes(1 << 20)) for number in range(3)])
    swollen = bytearray(content)
    place = -1
    while (place := swollen.find(b"PK\x01\x02", place + 1)) >= 0:
        struct.pack_into("<L", swollen, place + 24, 100_000_000)
    with pytest.raises(InvalidParameterValueError) as refusal:
        prepare_package(PackageJob(bytes(swollen), *map(str, directories)))
    assert refusal.value.message == TOO_LARGE


@pytest.mark.slow
def test_a_real_bomb(directories: tuple[Path, Path]) -> None:
    block = bytes(63 << 20)
    content = archive(*[file(str(number), block) for number in range(4)])
    assert len(content) < 300_000
    with pytest.raises(InvalidParameterValueError) as refusal:
        prepare_package(PackageJob(content, *map(str, directories)))
    assert refusal.value.message == TOO_LARGE


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_full_disk_is_our_fault(number: int, directories: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(package, "_write_file", fail)
    with pytest.raises(ServiceError, match="nothing was changed"):
        prepare_package(PackageJob(zip_bytes({"a": "b"}), *map(str, directories)))
    assert [list(directory.iterdir()) for directory in directories] == [[], []]


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_never_surprises(directories: tuple[Path, Path], data: st.DataObject) -> None:
    content = bytearray(archive(file("a/b.py", b"print(1)" * 50), link("c", "a/b.py"), file("é")))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 20))
    refusals: list[str] = []
    try:
        prepare_package(PackageJob(bytes(content[: len(content) - cut]), *map(str, directories))).discard()
    except LambdaError as error:
        refusals.append(error.message)
    assert set(refusals) <= {NOT_A_ZIP, TOO_LARGE, EMPTY}
    assert [list(directory.iterdir()) for directory in directories] == [[], []]

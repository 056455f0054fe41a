"""Archives are unpacked whole and within limits, or leave nothing behind."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.uploads.archives import ArchiveLimits, unpack
from domain.errors import Invalid
from stemma_client import StemmaError
from stemma_client.packing import pack

LIMITS = ArchiveLimits(
    max_members=100,
    max_total_bytes=20_000_000,
    max_file_bytes=10_000_000,
    max_ratio=100,
    max_path=100,
    max_depth=5,
)
FILES = {"a.txt": b"alpha", "b/c.txt": b"", "b/ü 日本/d.bin": bytes(range(256)) * 3000}

Contents = dict[str, bytes]


def a_tar(files: Contents) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def a_zip(files: Contents, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def odd_tar(kind: bytes, name: str = "odd", target: str = "") -> bytes:
    """A tar with one member of another type than a file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info.tobuf() + bytes(1024)


def odd_zip(mode: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("odd")
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    return file.getvalue()


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACKERS: dict[str, Callable[[Contents], bytes]] = {
    "zip": a_zip,
    "stored zip": lambda files: a_zip(files, zipfile.ZIP_STORED),
    "tar": a_tar,
    "tar.gz": lambda files: gzip.compress(a_tar(files)),
    "tar.bz2": lambda files: bz2.compress(a_tar(files)),
    "tar.xz": lambda files: lzma.compress(a_tar(files)),
    "tar.zst": lambda files: zst(a_tar(files)),
}
each_kind = pytest.mark.parametrize("kind", PACKERS)
zip_and_tar = pytest.mark.parametrize("kind", ["zip", "tar"])


class Unpacking:
    """A folder to unpack into, which a refusal leaves empty."""

    def __init__(self, folder: Path) -> None:
        self.archive = folder / "upload"
        self.into = folder / "into"

    def take(self, data: bytes, limits: ArchiveLimits = LIMITS) -> Contents:
        self.archive.write_bytes(data)
        written = unpack(self.archive, self.into, limits)
        found = files_in(self.into)
        assert written == len(found)
        return found

    def refuse(self, data: bytes, why: str, limits: ArchiveLimits = LIMITS) -> None:
        self.archive.write_bytes(data)
        with pytest.raises(Invalid, match=why):
            unpack(self.archive, self.into, limits)
        assert list(self.into.iterdir()) == []
        assert sorted(self.into.parent.iterdir()) == [self.into, self.archive]


def files_in(folder: Path) -> Contents:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def unpacking(tmp_path: Path) -> Unpacking:
    return Unpacking(tmp_path)


@each_kind
def test_every_kind_is_unpacked_by_its_content(kind: str, unpacking: Unpacking) -> None:
    assert unpacking.take(PACKERS[kind](FILES)) == FILES


@each_kind
def test_what_is_cut_off_is_refused(kind: str, unpacking: Unpacking) -> None:
    whole = PACKERS[kind]({"a": os.urandom(30_000), "b": os.urandom(30_000)})
    for share in (0.3, 0.6, 0.8):
        cut = whole[: int(len(whole) * share)]
        unpacking.refuse(cut, "damaged")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
def test_a_changed_byte_is_refused(kind: str, unpacking: Unpacking) -> None:
    whole = bytearray(PACKERS[kind]({"a": os.urandom(30_000)}))
    whole[15_000] ^= 0xFF
    unpacking.refuse(bytes(whole), "damaged")


def test_a_tar_that_ends_between_members_is_refused(unpacking: Unpacking) -> None:
    unpacking.refuse(a_tar({"a": b"1", "b": b"2"})[:1024], "damaged")


def test_a_damaged_header_does_not_end_a_tar(unpacking: Unpacking) -> None:
    data = bytearray(a_tar({"a": b"1", "b": b"2"}))
    data[1024] ^= 0xFF
    unpacking.refuse(bytes(data), "damaged")


def test_a_tar_after_a_tar_is_refused(unpacking: Unpacking) -> None:
    unpacking.refuse(a_tar({"a": b"1"}) + a_tar({"b": b"2"}), "has data after its end")
    small = b"".join(pack_of(unpacking, {"a": b"1"}))
    unpacking.refuse(small + small, "has data after its end")


def pack_of(unpacking: Unpacking, files: Contents) -> list[bytes]:
    """The chunks of a packed folder, which is gone afterwards."""
    folder = unpacking.into.with_name("from")
    make_folder(folder, files)
    chunks = list(pack(folder))
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    return chunks


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" + bytes(600),
        b"words",
        gzip.compress(b"words", mtime=0),
        b"Rar!\x1a\x07",
    ],
)
def test_what_is_no_archive_is_refused(data: bytes, unpacking: Unpacking) -> None:
    unpacking.refuse(data, "not a zip or tar")


@zip_and_tar
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "absolute path"),
        ("a/../../b", "leads out"),
        ("..", "leads out"),
        ("C:/windows", "drive letter"),
        ("a/c:b", "drive letter"),
        ("a\\b", "backslash"),
        ("a\nb", "unprintable"),
        ("a\u202egnp.exe", "unprintable"),
        ("x" * 101, "longer than 100"),
        ("a/b/c/d/e/f", "deeper than 5"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(
    kind: str, name: str, why: str, unpacking: Unpacking
) -> None:
    unpacking.refuse(PACKERS[kind]({"good": b"good", name: b"x"}), why)


def test_a_file_without_a_name_is_refused(unpacking: Unpacking) -> None:
    unpacking.refuse(a_tar({"good": b"", ".": b"x"}), "names no file")


@zip_and_tar
def test_a_refusal_names_the_member(kind: str, unpacking: Unpacking) -> None:
    unpacking.refuse(PACKERS[kind]({"good": b"", "a/../b": b""}), r"'a/\.\./b' in the archive")


def test_a_name_of_more_bytes_than_a_file_system_takes_is_refused(unpacking: Unpacking) -> None:
    limits = ArchiveLimits(max_path=1000)
    unpacking.refuse(a_tar({"日" * 90: b""}), "longer than 255 bytes", limits)


def test_a_nul_in_a_name_is_refused(unpacking: Unpacking) -> None:
    data = a_zip({"a.txt_.png": b""}).replace(b"a.txt_.png", b"a.txt\0.png")
    unpacking.refuse(data, "unprintable")


def test_a_name_that_is_no_utf8_is_refused(unpacking: Unpacking) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as out:
        out.addfile(tarfile.TarInfo("ü"))
    unpacking.refuse(file.getvalue(), "unprintable")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (odd_tar(tarfile.SYMTYPE, target="/etc"), "symbolic link"),
        (odd_tar(tarfile.LNKTYPE, target="a"), "hard link"),
        (odd_tar(tarfile.CHRTYPE), "device"),
        (odd_tar(tarfile.BLKTYPE), "device"),
        (odd_tar(tarfile.FIFOTYPE), "named pipe"),
        (odd_zip(stat.S_IFLNK | 0o777), "symbolic link"),
        (odd_zip(stat.S_IFCHR), "device"),
        (odd_zip(stat.S_IFBLK), "device"),
        (odd_zip(stat.S_IFIFO), "named pipe"),
        (odd_zip(stat.S_IFSOCK), "socket"),
    ],
)
def test_only_files_and_folders_are_taken(data: bytes, why: str, unpacking: Unpacking) -> None:
    unpacking.refuse(data, f"'odd' in the archive is a {why}")


def test_a_sparse_file_is_refused(unpacking: Unpacking) -> None:
    header = tarfile.TarInfo("sparse")
    header.type = tarfile.GNUTYPE_SPARSE
    data = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    data[483:495] = b"00777777777\0"  # what it unpacks to, from nothing
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    unpacking.refuse(bytes(data) + bytes(1024), "not a regular file")


def test_an_encrypted_member_is_refused(unpacking: Unpacking) -> None:
    data = bytearray(a_zip({"secret": b"x"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    unpacking.refuse(bytes(data), "'secret' .* encrypted; pack without")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_rare_method_is_refused(method: int, unpacking: Unpacking) -> None:
    unpacking.refuse(a_zip({"a": b"x"}, method), "compression method; pack with `deflate`")


@zip_and_tar
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a/B.png", "a/b.png"),
        ("\u00fc", "u\u0308"),
        ("A/1", "a/2"),
        ("a/b", "a/b/c"),
        ("a/b/c", "a/b"),
    ],
)
def test_paths_that_a_file_system_may_confuse_are_refused(
    kind: str, first: str, second: str, unpacking: Unpacking
) -> None:
    unpacking.refuse(PACKERS[kind]({first: b"1", second: b"2"}), "rename one|both file and folder")


@zip_and_tar
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_path_that_is_there_twice_is_refused(kind: str, unpacking: Unpacking) -> None:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a", "1")
            archive.writestr("a", "2")
    else:
        file.write(a_tar({"a": b"1"})[:1024] + a_tar({"./a": b"2"}))
    unpacking.refuse(file.getvalue(), "twice")


@zip_and_tar
def test_folders_are_passed_through_and_litter_is_skipped(kind: str, unpacking: Unpacking) -> None:
    litter = {
        "__MACOSX/x/._a.png": b"1",
        "x/.DS_Store": b"2",
        "x/Thumbs.db": b"3",
        "x/._a.png": b"4",
    }
    archived = PACKERS[kind](litter | {"./x//a.png": b"a", "x/b.png": b"b"})
    assert unpacking.take(archived) == {"x/a.png": b"a", "x/b.png": b"b"}


def test_folders_of_their_own_are_no_files(unpacking: Unpacking) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("./", "x", "x/empty"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
    assert unpacking.take(file.getvalue()) == {}


@each_kind
def test_too_many_members_are_refused(kind: str, unpacking: Unpacking) -> None:
    many = {f"{n}": b"" for n in range(101)}
    unpacking.refuse(PACKERS[kind](many), "more than 100 members; split it")
    del many["100"]
    assert unpacking.take(PACKERS[kind](many)) == many


@each_kind
def test_sizes_hold_to_the_byte(kind: str, unpacking: Unpacking) -> None:
    limits = ArchiveLimits(max_file_bytes=3000, max_total_bytes=5000)
    fits = {"a": bytes(3000), "b": bytes(2000)}
    assert unpacking.take(PACKERS[kind](fits), limits) == fits


@each_kind
@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"a": bytes(3001)}, "'a' .* larger than 3,000 bytes"),
        ({"a": bytes(3000), "b": bytes(2001)}, "'b' .* above 5,000 bytes"),
    ],
)
def test_what_is_too_large_is_refused(
    kind: str, files: Contents, why: str, unpacking: Unpacking
) -> None:
    limits = ArchiveLimits(max_file_bytes=3000, max_total_bytes=5000)
    unpacking.refuse(PACKERS[kind](files), why, limits)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
def test_a_bomb_is_stopped_early(kind: str, unpacking: Unpacking) -> None:
    """Long before its last tenth, which is damaged here and would be refused for that."""
    bomb = bytearray(PACKERS[kind]({"bomb": b"ab" * 4_950_000}))
    content_ends = bomb.index(b"PK\x01\x02") if kind == "zip" else len(bomb)
    bomb[content_ends * 9 // 10 : content_ends] = os.urandom(content_ends - content_ends * 9 // 10)
    unpacking.refuse(bytes(bomb), "more than 100 times its size")


def test_sizes_that_lie_are_not_believed(unpacking: Unpacking) -> None:
    data = bytearray(a_zip({"a": bytes(100_000)}))
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + place, 10)
    unpacking.refuse(bytes(data), "damaged")


def test_members_that_share_bytes_are_refused(unpacking: Unpacking) -> None:
    """Many entries of the directory point at one member's bytes."""
    data = a_zip({"a": bytes(1_000_000)})
    directory = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry, tail = data[directory:end], bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, 50, 50, len(entry) * 50)
    unpacking.refuse(data[:directory] + entry * 50 + bytes(tail), "overlaps")


@pytest.mark.parametrize("record", [b"comment=" + b"x" * 2_000_000, b"path=" + b"x" * 2_000_000])
def test_a_tar_header_of_megabytes_is_refused(record: bytes, unpacking: Unpacking) -> None:
    length = len(record) + 9
    body = b"%d %s\n" % (length, record)
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(body)
    data = header.tobuf() + body + bytes(-len(body) % 512) + a_tar({"a": b""})
    unpacking.refuse(data, "header in the archive is too large")


def test_a_chain_of_headers_is_refused(unpacking: Unpacking) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 0
    unpacking.refuse(header.tobuf() * 1900 + a_tar({"a": b""}), "damaged|not a zip or tar")


@pytest.mark.parametrize("size", [-512, 1 << 60])
def test_a_tar_that_lies_about_a_size_is_refused(size: int, unpacking: Unpacking) -> None:
    info = tarfile.TarInfo("a")
    info.size = size
    unpacking.refuse(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048), "damaged|no ordinary|larger")


def test_a_folder_in_use_is_not_unpacked_into(unpacking: Unpacking) -> None:
    unpacking.into.mkdir()
    (unpacking.into / "mine").write_bytes(b"")
    unpacking.archive.write_bytes(a_tar(FILES))
    with pytest.raises(FileExistsError):
        unpack(unpacking.archive, unpacking.into, LIMITS)
    assert files_in(unpacking.into) == {"mine": b""}


def test_what_comes_out_is_neither_executable_nor_another_s(unpacking: Unpacking) -> None:
    info = tarfile.TarInfo("a")
    info.mode, info.uid = 0o4777, 12345
    unpacking.take(info.tobuf() + bytes(1024))
    found = (unpacking.into / "a").stat()
    assert (found.st_mode & 0o7111, found.st_uid) == (0, os.getuid())


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(PACKERS)),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
    keep=st.integers(0, 10**6),
)
def test_any_damage_is_a_refusal_or_harmless(
    kind: str, changes: list[tuple[int, int]], keep: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray(PACKERS[kind]({"a/b": b"hello" * 100, "c": b"x"}))
    for place, value in changes:
        data[place % len(data)] = value
    into = tmp_path_factory.mktemp("damage") / "into"
    archive = into.with_name("upload")
    archive.write_bytes(bytes(data)[: len(data) - (keep % len(data) if keep % 3 == 0 else 0)])
    try:
        unpack(archive, into, LIMITS)
    except Invalid:
        assert list(into.iterdir()) == []
    assert sorted(into.parent.iterdir()) == [into, archive]


def make_folder(folder: Path, files: Contents) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_what_is_packed_unpacks_to_the_same(tmp_path: Path, unpacking: Unpacking) -> None:
    files = FILES | {"/".join(["long" * 10] * 4) + "/name": b"deep", "big": os.urandom(2_500_000)}
    make_folder(tmp_path / "from", files)
    packed = b"".join(pack(tmp_path / "from"))
    limits = ArchiveLimits()
    assert unpacking.take(packed, limits) == files


def test_packing_depends_on_nothing_but_content(tmp_path: Path) -> None:
    make_folder(tmp_path / "one", FILES)
    make_folder(tmp_path / "two", dict(reversed(FILES.items())))
    (tmp_path / "two" / "a.txt").chmod(0o700)
    os.utime(tmp_path / "two" / "a.txt", (1, 1))
    assert b"".join(pack(tmp_path / "one")) == b"".join(pack(tmp_path / "two"))


def test_packing_holds_little_at_a_time(tmp_path: Path) -> None:
    make_folder(tmp_path / "from", {"big": bytes(5_000_000)})
    assert max(len(chunk) for chunk in pack(tmp_path / "from")) <= 1 << 20


def test_an_empty_folder_is_an_empty_archive(tmp_path: Path, unpacking: Unpacking) -> None:
    (tmp_path / "from").mkdir()
    assert unpacking.take(b"".join(pack(tmp_path / "from"))) == {}


def test_a_link_is_not_packed(tmp_path: Path) -> None:
    make_folder(tmp_path, {"a": b""})
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(StemmaError, match=r"link: only files and folders"):
        list(pack(tmp_path))

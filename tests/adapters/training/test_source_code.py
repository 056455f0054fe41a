"""Archives of code that somebody else wrote: what is read, refused, and compared."""

import gzip
import io
import tarfile
import tracemalloc

import pytest

from adapters.training import source_code
from adapters.training.source_code import differences, read_archive
from domain.errors import Invalid


def archive(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as packed:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "/etc/passwd"
            packed.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_files_are_read_by_their_paths() -> None:
    assert read_archive(archive(("a/b.py", b"x"), ("./c.py", b""))) == {"a/b.py": b"x", "c.py": b""}


GOOD = archive(("a.py", b"x" * 1000))


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (b"PK\3\4", "not compressed with gzip"),
        (GOOD[:-20], "cut off"),
        (gzip.compress(b"no tar at all" * 100), "cannot be read"),
        (archive(("../up.py", b"x")), "is not one of its own"),
        (archive(("/etc/passwd", b"x")), "is not one of its own"),
        (archive(("a.py", b"x"), ("a.py", b"y")), "is not one of its own"),
        (archive(("not-utf-8-\udcff.py", b"x")), "cannot be read"),
        (archive(("link.py", b""), kind=tarfile.SYMTYPE), "is no regular file"),
        (archive(("device", b""), kind=tarfile.CHRTYPE), "is no regular file"),
    ],
    # The bytes of an archive have the time in them, and workers of pytest are to name tests alike.
    ids=["zip", "cut", "no-tar", "above", "absolute", "twice", "not-utf-8", "link", "device"],
)
def test_hostile_archives_are_refused(packed: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        read_archive(packed)


def test_a_bomb_is_refused_before_it_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_code, "MOST_UNPACKED_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(64 << 20), 1)
    tracemalloc.start()
    with pytest.raises(Invalid, match="unpacks to more than"):
        read_archive(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_files_that_differ_are_listed_with_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {"a.py": b"lr = 1\n", "b.py": b"same", "c.py": b"", "d.bin": b"\xff"}
    after = {"a.py": b"lr = 2\n", "b.py": b"same", "e.py": b"", "d.bin": b"\xfe"}
    found = {one.path: one for one in differences(before, after)}
    assert {path: one.change for path, one in found.items()} == {
        "a.py": "changed",
        "c.py": "removed",
        "d.bin": "changed",
        "e.py": "added",
    }
    assert found["d.bin"].diff is None
    assert (found["a.py"].diff or "").splitlines()[-2:] == ["-lr = 1", "+lr = 2"]
    monkeypatch.setattr(source_code, "_MOST_BYTES_IN_ALL", 13)
    (compared,) = differences({"a.py": b"lr = 1"}, {"a.py": b"lr = 20"})
    assert compared.diff is not None
    (beyond,) = differences({"a.py": b"lr = 1\n"}, {"a.py": b"lr = 20"})
    assert beyond.diff is None
    monkeypatch.undo()
    monkeypatch.setattr(source_code, "LONGEST_DIFF", 2)
    (cut,) = differences({"a.py": b"1\n2\n3\n"}, {"a.py": b"4\n5\n6\n"})
    assert (cut.diff or "").splitlines()[2:] == ["… 7 more lines"]

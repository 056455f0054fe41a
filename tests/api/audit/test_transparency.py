"""The transparency log over HTTP: what a client of tlog-tiles reads, and proofs that hold."""

import base64

import pytest

from domain.audit.merkle import (
    HASH_BYTES,
    Frontier,
    leaf_hash,
    node_hash,
)
from tests.adapters.audit.logs import Signed, append
from tests.api.scene import Scene
from tests.domain.audit.test_tiles import entries_of
from tests.domain.audit.verification import verify_consistency, verify_inclusion
from tests.servers import Database

SIZES = (300, 66_000)


@pytest.fixture(scope="module")
def log(site: Scene) -> Scene:
    """A log whose tree has three levels of tiles, with a checkpoint early on."""
    url = site.settings.require("database_url")
    signed = Signed(Database("", "", url), site.settings.data)
    append(site.store, SIZES[0] - site.store.head())
    signed.sign()
    while (head := site.store.head()) < SIZES[1]:
        append(site.store, min(5000, SIZES[1] - head), f"project-{head}")
    signed.sign()
    return site


def fetch(log: Scene, path: str) -> bytes:
    response = log.http.get(f"/audit/log/tile/{path}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/octet-stream"
    assert "immutable" in response.headers["cache-control"]
    return response.content


def hashes(tile: bytes) -> list[bytes]:
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def root_of(leaves: list[bytes]) -> bytes:
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def test_the_checkpoint_is_a_note(log: Scene) -> None:
    response = log.http.get("/audit/log/checkpoint")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    origin, size, root = response.text.split("\n\n")[0].split("\n")
    assert (origin, size) == ("stemma.test/log", "66000")
    latest = log.http.get("/api/v1/audit/checkpoints/latest").json()
    assert latest["note"] == response.text
    assert latest["root"] == base64.b64decode(root).hex()


def test_a_client_computes_the_root_from_the_tiles_of_each_level(log: Scene) -> None:
    """66,000 = 257 full tiles of leaves and 208 leaves more; 257 = a full tile of roots and one."""
    root = bytes.fromhex(log.http.get("/api/v1/audit/checkpoints/latest").json()["root"])
    leaves = [hashes(fetch(log, f"0/{number:03}")) for number in range(257)]
    rest = hashes(fetch(log, "0/257.p/208"))
    assert root_of([leaf for tile in [*leaves, rest] for leaf in tile]) == root
    first, second = hashes(fetch(log, "1/000")), hashes(fetch(log, "1/001.p/1"))
    assert [*first, *second] == [root_of(tile) for tile in leaves]
    [top] = hashes(fetch(log, "2/000.p/1"))
    assert top == root_of(first)
    assert node_hash(top, node_hash(second[0], root_of(rest))) == root


def test_entry_bundles_hash_to_the_leaves(log: Scene) -> None:
    for number in ("000", "256", "257.p/208", "257.p/1"):
        entries = entries_of(fetch(log, f"entries/{number}"))
        assert [leaf_hash(entry) for entry in entries] == hashes(fetch(log, f"0/{number}"))
        parsed = [int(entry.split(b"\n")[1]) for entry in entries]
        first = 256 * int(number[:3]) + 1
        assert parsed == list(range(first, first + len(entries)))


@pytest.mark.parametrize(
    "path",
    ["0/258", "0/257", "0/257.p/209", "0/0", "0/000.p/256", "1/002", "2/000", "3/000", "64/000",
     "entries/257", "entries/258.p/1", "entries/999", "hint/000", "0/x000/000", "00/000"],
)  # fmt: skip
def test_what_is_no_tile_is_not_found(log: Scene, path: str) -> None:
    response = log.http.get(f"/audit/log/tile/{path}")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("position", [1, 256, 257, 65_536, 65_537, 66_000])
def test_inclusion_is_proved(log: Scene, position: int) -> None:
    for size in {max(position, SIZES[0]), SIZES[1]}:
        asked = {"position": position, "size": size}
        found = log.http.get("/api/v1/audit/proofs/inclusion", params=asked).json()
        leaf = leaf_hash(found["entry"].encode())
        assert leaf.hex() == found["leaf_hash"]
        assert int(found["entry"].split("\n")[1]) == position
        proof = [bytes.fromhex(one) for one in found["proof"]]
        root = bytes.fromhex(found["root"])
        assert verify_inclusion(leaf, position - 1, size, proof, root)


def test_consistency_is_proved_between_the_signed_checkpoints(log: Scene) -> None:
    new, old = log.http.get("/api/v1/audit/checkpoints").json()["items"]
    assert (old["size"], new["size"]) == SIZES
    asked = {"from": old["size"], "to": new["size"]}
    found = log.http.get("/api/v1/audit/proofs/consistency", params=asked).json()
    proof = [bytes.fromhex(one) for one in found["proof"]]
    assert (found["from_root"], found["to_root"]) == (old["root"], new["root"])
    roots = bytes.fromhex(old["root"]), bytes.fromhex(new["root"])
    assert verify_consistency(*SIZES, proof, *roots)


def test_checkpoints_come_in_pages(log: Scene) -> None:
    first = log.http.get("/api/v1/audit/checkpoints", params={"limit": 1}).json()
    asked = {"limit": 1, "cursor": first["next"]}
    second = log.http.get("/api/v1/audit/checkpoints", params=asked).json()
    assert [one["size"] for one in [*first["items"], *second["items"]]] == [66_000, 300]
    assert first["position"] == 66_000


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        ("inclusion", {"position": 5, "size": 66_001}, "size"),
        ("inclusion", {"position": 6, "size": 5}, "position"),
        ("inclusion", {"position": 0}, "position"),
        ("consistency", {"from": 0}, "from"),
        ("consistency", {"from": 2, "to": 1}, "from"),
        ("consistency", {"from": 1, "to": 0}, "from"),
        ("consistency", {"from": 2, "to": 70_000}, "to"),
    ],
)
def test_what_cannot_be_proved_is_refused(
    log: Scene, path: str, asked: dict[str, int], field: str
) -> None:
    response = log.http.get(f"/api/v1/audit/proofs/{path}", params=asked)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_before_anything_is_signed(server: Scene) -> None:
    for path in (
        "/audit/log/checkpoint",
        "/api/v1/audit/checkpoints/latest",
        "/api/v1/audit/proofs/inclusion?position=1",
        "/api/v1/audit/proofs/consistency?from=1",
    ):
        response = server.http.get(path)
        assert response.status_code == 404, path
        assert "check that `stemma run checkpoints` is running" in response.json()["detail"]
    empty = server.http.get("/api/v1/audit/checkpoints").json()
    assert empty == {"items": [], "next": None, "position": 0}

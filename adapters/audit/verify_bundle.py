"""Verify an audit bundle of Stemma, offline: python verify_bundle.py BUNDLE.zip --key KEYS

Read this file before you trust it; that takes ten minutes. It needs the standard library and
`cryptography` (for Ed25519), shares no code with Stemma, and writes nothing to disk. Get this file
and the public keys from a source that you trust: those in a bundle are from its maker.

It verifies, in this order:

1. SHA256SUMS       Every member is as it was packed. This finds accidents; it is not signed.
2. checkpoints.txt  Your key signed: "the first N events of the log have this Merkle root".
3. log.jsonl        Its tree has exactly these roots, so its events are those of the log. The
                    events of each stream are numbered 1, 2, 3 and so on.
4. manifests/       They list the images, or crops of them, that follow from these events, and have
                    the digest that the version's event names: those it trains on, and its test
                    images.
5. blobs/           Included files have the sha256 by which events name them.

The exit status is 0 if everything is valid, 1 if not, and 2 if a file cannot be read.
"""

import argparse
import base64
import hashlib
import heapq
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SUMS, KEYS, CHECKPOINTS, LOG = "SHA256SUMS", "verifier-keys.txt", "checkpoints.txt", "log.jsonl"
MEMBER = re.compile(
    r"README\.txt|SHA256SUMS|blobs\.jsonl|bundle\.json|checkpoints\.txt|log\.jsonl"
    r"|verifier-keys\.txt|verify_bundle\.py|schemas/[a-z_.]+(\.v[0-9]+)?\.json"
    r"|manifests/[0-9a-f]{64}\.jsonl|blobs/[0-9a-f]{64}"
)
NOTE = re.compile(
    "([^\n]+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n\n((?:\u2014 [^ \n]+ [^ \n]+\n)+)"
)
SUBTREE = re.compile(r'\{"height":([0-9]{1,2}),"root":"([0-9a-f]{64})"\}\n')
TESTED = "version.test_evaluation_requested"
MAX_LINE, MAX_NOTE, MAX_RATIO = 1 << 26, 1 << 16, 200

Keys = dict[tuple[str, bytes], Ed25519PublicKey]


class Rejected(Exception):
    """The bundle does not prove what it claims; the message says where."""


def parse_json(text: str | bytes, **options: Any) -> Any:
    """The JSON of a text. Raises `ValueError` for a key given twice, which readers differ on."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(fields := dict(pairs)) < len(pairs):
            keys = sorted(key for key, _ in pairs)
            raise ValueError(
                f"the key {next(a for a, b in pairwise(keys) if a == b)!r} appears twice"
            )
        return fields

    return json.loads(text, object_pairs_hook=unique, **options)


class Checkpoint(NamedTuple):
    """The first `size` events of the log `origin` have the Merkle root `root`."""

    origin: str
    size: int
    root: bytes


class Event(NamedTuple):
    """An event of the log; `state` is its stored JSON, byte for byte."""

    position: int
    stream: str
    revision: int
    name: str
    state: bytes

    def leaf(self) -> bytes:
        digest = hashlib.sha256(self.state).hexdigest()
        fields = f"{self.position}\n{self.stream}\n{self.revision}\n{self.name}"
        return hashlib.sha256(f"\0stemma-event/v1\n{fields}\n{digest}\n".encode()).digest()

    def data(self) -> Any:
        """The payload. Decimal numbers are texts, as written in the log."""
        return parse_json(self.state, parse_float=str)["data"]


class Subtree(NamedTuple):
    """The root over `1 << height` events that the bundle omits."""

    height: int
    root: bytes


def check_archive(archive: zipfile.ZipFile) -> None:
    """Step 1. Reject unknown names, zip bombs, and members that are not as they were packed.

    Members are read in pieces, and nothing is unpacked to disk.
    """
    for member in archive.infolist():
        if not MEMBER.fullmatch(member.filename):
            raise Rejected(f"{member.filename!r}: a bundle has no member with this name")
        if member.file_size > MAX_RATIO * member.compress_size:
            raise Rejected(f"{member.filename}: unpacks to more than {MAX_RATIO} times its size")
    *names, last = archive.namelist() or [""]
    if last != SUMS or len(set(names)) < len(names):
        raise Rejected(f"{SUMS}: is not the last member, or a member appears twice")
    for name, line in zip_longest(names, lines(archive, SUMS), fillvalue=""):
        digest, _, packed = line.rstrip("\n").partition("  ")
        if name != packed:
            raise Rejected(f"{SUMS} has {packed!r} in place of {name!r}: missing, added, or moved")
        actual = hashlib.sha256()
        with archive.open(name) as file:
            while piece := file.read(1 << 20):
                actual.update(piece)
        if actual.hexdigest() != digest:
            raise Rejected(f"{name}: differs from the digest in {SUMS}")
        if name.startswith(("blobs/", "manifests/")) and digest not in name:
            raise Rejected(f"{name}: has the sha256 {digest} and another name")


def lines(archive: zipfile.ZipFile, name: str) -> Iterator[str]:
    if name not in archive.NameToInfo:
        raise Rejected(f"{name}: is missing from the archive")
    with archive.open(name) as file:
        while line := file.readline(MAX_LINE):
            if not line.endswith(b"\n"):
                raise Rejected(f"{name}: has a line that is too long, or has no end")
            try:
                yield line.decode()
            except UnicodeDecodeError:
                raise Rejected(f"{name}: is not text in UTF-8") from None


def decode(where: str, text: str) -> bytes:
    """Decode base64, and reject any text that is not the canonical encoding."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        content = b""
    if not content or base64.b64encode(content).decode() != text:
        raise Rejected(f"{where}: {text[:80]!r} is not base64")
    return content


def parse_keys(where: str, text: Iterable[str]) -> Keys:
    """Public keys by name and id, from lines `name+id+base64`: see c2sp.org/signed-note."""
    keys: Keys = {}
    for line in text:
        name, _, rest = line.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        content = decode(where, encoded)
        hashed = hashlib.sha256(name.encode() + b"\n" + content).digest()[:4]
        if content[0] != 1 or len(content) != 33 or hashed.hex() != key_id:
            raise Rejected(f"{where}: {line.strip()!r} is not an Ed25519 key with its id")
        keys[name, hashed] = Ed25519PublicKey.from_public_bytes(content[1:])
    return keys


def checkpoints_in(where: str, text: Iterable[str], keys: Keys) -> Iterator[Checkpoint]:
    """Step 2. The checkpoints of a file, each signed by one of the keys."""
    note, signed = "", False
    for line in text:
        signature = line.startswith("\u2014 ")
        if signed and not signature:
            yield open_note(where, note, keys)
            note = ""
        signed = signature
        if note or line != "\n":
            note += line
        if len(note) > MAX_NOTE:
            break
    if note:
        yield open_note(where, note, keys)


def open_note(where: str, note: str, keys: Keys) -> Checkpoint:
    """A signed checkpoint: see c2sp.org/tlog-checkpoint. Unknown keys' signatures are ignored."""
    match = NOTE.fullmatch(note)
    if match is None:
        raise Rejected(f"{where}: {note[:80]!r} is not a signed checkpoint")
    origin, size, root, signatures = match.groups()
    is_signed = False
    for line in signatures.rstrip("\n").split("\n"):
        _, name, encoded = line.split(" ")
        signature = decode(where, encoded)
        key = keys.get((name, signature[:4]))
        if key is None or name != origin:
            continue
        try:
            key.verify(signature[4:], f"{origin}\n{size}\n{root}\n".encode())
        except InvalidSignature:
            raise Rejected(
                f"{where}: the signature of the checkpoint of {size} events is wrong"
            ) from None
        is_signed = True
    if not is_signed:
        raise Rejected(
            f"{where}: the checkpoint of {size} events is signed by {signatures!r},"
            " and by none of your keys; if the log's key was replaced, you need the older keys, too"
        )
    return Checkpoint(origin, int(size), decode(where, root))


class Tree:
    """The Merkle tree of RFC 6962, built from the left: one hash for each bit set in its size."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[Subtree] = []

    def add(self, height: int, root: bytes) -> None:
        """Add a subtree, or a leaf with height 0. A subtree starts at a multiple of its size."""
        if not 0 <= height < 60 or self.size % (1 << height) or len(root) != 32:
            raise Rejected(f"{LOG}: after event {self.size} comes a subtree in a wrong place")
        self.size += 1 << height
        while self._peaks and self._peaks[-1].height == height:
            root = hashlib.sha256(b"\x01" + self._peaks.pop().root + root).digest()
            height += 1
        self._peaks.append(Subtree(height, root))

    def root(self) -> bytes:
        roots = [peak.root for peak in self._peaks] or [hashlib.sha256(b"").digest()]
        while len(roots) > 1:
            right = roots.pop()
            roots[-1] = hashlib.sha256(b"\x01" + roots[-1] + right).digest()
        return roots[0]


def read_log(archive: zipfile.ZipFile) -> Iterator[Event | Subtree]:
    """The log's events in order, with roots in place of omitted events."""
    for number, line in enumerate(lines(archive, LOG), 1):
        if subtree := SUBTREE.fullmatch(line):
            yield Subtree(int(subtree[1]), bytes.fromhex(subtree[2]))
            continue
        try:
            entry = parse_json(line)
            position, stream, revision = entry["position"], entry["stream"], entry["revision"]
            state = entry["state"].encode()
            yield Event(int(position), str(stream), int(revision), str(entry["name"]), state)
        except Exception as error:
            raise Rejected(f"{LOG}, line {number}: neither event nor subtree: {error!r}") from None


def proved(
    archive: zipfile.ZipFile, due: Iterator[Checkpoint], tree: Tree, revisions: dict[str, int]
) -> Iterator[Event]:
    """Step 3. The log's events, if its tree has the root of each checkpoint, in order of size.

    This proves that each event is in the log at its position, and that the log only grew. Yielded
    events are only proved when the iterator has ended.
    """
    last, checkpoint = Checkpoint("", 0, tree.root()), next(due, None)
    for item in read_log(archive):
        if isinstance(item, Event):
            where = f"event {item.position} ({item.name} of {item.stream})"
            if item.position != tree.size + 1:
                raise Rejected(f"{where}: is in the place of event {tree.size + 1}")
            if item.revision != revisions.get(item.stream, 0) + 1:
                raise Rejected(f"{where}: an event of the stream is missing before it")
            revisions[item.stream] = item.revision
            try:
                item.data()
            except Exception as error:
                raise Rejected(f"{where}: is not in the form that Stemma writes: {error}") from None
            tree.add(0, item.leaf())
            yield item
        else:
            tree.add(item.height, item.root)
        while checkpoint is not None and checkpoint.size <= tree.size:
            if checkpoint.size < tree.size:
                raise Rejected(
                    f"{LOG}: leaves out the events around {checkpoint.size}, for which there is a"
                    " checkpoint; export it with --against and that checkpoint, or all events"
                )
            if checkpoint.size == last.size and checkpoint.root != last.root:
                raise Rejected(
                    f"two signed checkpoints of {last.size} events contradict each other"
                )
            if checkpoint.root != tree.root():
                raise Rejected(
                    f"{LOG}: events {last.size + 1} to {tree.size} are not those of the signed"
                    " checkpoint: one was changed, left out, added or moved"
                )
            if checkpoint.origin != (last.origin or checkpoint.origin):
                raise Rejected(f"{CHECKPOINTS}: of two logs, {last.origin}, {checkpoint.origin}")
            last, checkpoint = checkpoint, next(due, None)
    if checkpoint is not None or last.size != tree.size or not last.origin:
        raise Rejected(f"{LOG}: ends at event {tree.size}, and the checkpoints elsewhere")


def check_datasets(
    archive: zipfile.ZipFile, created: dict[str, Event], frozen: Iterable[Event]
) -> Iterator[str]:
    """Step 4. Replay the events of images and views, and check each version's dataset at its
    position, and each test set that it was to be evaluated on."""

    def position(event: Event) -> int:
        requested = event if event.name == TESTED else created[event.stream]
        return int(requested.data()["log_position"])

    due = sorted(frozen, key=position)
    images: dict[str, dict[str, Any]] = {}
    views: dict[str, dict[str, Any]] = {}
    for event in read_log(archive):
        if isinstance(event, Subtree):
            continue
        while due and position(due[0]) < event.position:
            yield check_dataset(archive, images, views, created[due[0].stream], due.pop(0))
        image = images.get(event.stream)
        if event.name == "view.created":
            views[event.stream.removeprefix("view-")] = event.data()
        elif event.name == "view.conditions_changed":
            views[event.stream.removeprefix("view-")]["conditions"] = event.data()["conditions"]
        elif event.name == "image.added":
            added = event.data()
            image = {"project": added["project_id"], "blob": added["blob"]}
            image |= {"split": "train", "annotations": {}, "annotated": {}, "reviewed": {}}
            images[event.stream] = image
        elif event.name in ("image.removed", "image.erased"):
            images.pop(event.stream, None)
        elif event.name == "image.split_assigned" and image:
            image["split"] = event.data()["split"]
        elif event.name == "image.annotated" and image:
            annotated = event.data()
            image["annotations"][annotated["view_id"]] = annotated
            image["annotated"][annotated["view_id"]] = event.revision
        elif event.name == "image.reviewed" and image:
            image["reviewed"][event.data()["view_id"]] = event.data()["annotated_revision"]
        elif event.name == "image.review_withdrawn" and image:
            image["reviewed"].pop(event.data()["view_id"], None)


def check_dataset(
    archive: zipfile.ZipFile,
    images: dict[str, dict[str, Any]],
    views: dict[str, dict[str, Any]],
    created: Event,
    frozen: Event,
) -> str:
    """Compare a version's frozen dataset with the one that follows from the events."""
    tested = frozen.name == TESTED
    at = frozen if tested else created
    if at.data()["log_position"] >= at.position:
        raise Rejected(f"event {at.position} ({at.name}): depends on later events")
    digest = frozen.data()["manifest"]
    member, actual, splits = f"manifests/{digest}.jsonl", hashlib.sha256(), []
    stored = lines(archive, member)
    above = views_above(views, created)
    for split, line in manifest(images, above, created.data(), tested):
        splits.append(split)
        if next(stored, "") != line:
            raise Rejected(f"{member}, line {len(splits)}: from the events follows {line.strip()}")
        actual.update(line.encode())
    if next(stored, None) is not None or actual.hexdigest() != digest:
        raise Rejected(
            f"{member}: has more than the {len(splits)} lines that follow from the events"
        )
    counts = {f"{split}_images": splits.count(split) for split in ("train", "validation")}
    if tested:
        counts = {"images": len(splits)}
    if any(frozen.data()[name] != count for name, count in counts.items()):
        raise Rejected(f"event {frozen.position} ({frozen.name}): there are {counts} images")
    which = "test images" if tested else "images"
    return (
        f"proved: the {len(splits)} {which} of {created.stream} follow from the events ({digest})"
    )


class Above(NamedTuple):
    """A view above another, and the conditions that the one just below puts on its items."""

    view_id: str
    kind: str
    conditions: list[list[str]]


def views_above(views: dict[str, dict[str, Any]], created: Event) -> list[Above]:
    """The views above a version's view, the nearest first."""
    above: list[Above] = []
    view = views.get(created.data()["view_id"], {})
    while (parent_id := view.get("parent_id")) is not None:
        if parent_id not in views or len(above) == len(views):
            where = f"event {created.position} ({created.name})"
            raise Rejected(
                f"{where}: the parent view {parent_id} is missing, or is its own ancestor"
            )
        above.append(Above(parent_id, views[parent_id]["kind"], view["conditions"]))
        view = views[parent_id]
    return above


class Item(NamedTuple):
    """An image, or a crop: its number, and the box of the detection view that it is."""

    number: int | None
    box: dict[str, str] | None

    def holds(self, annotation: Any) -> bool:
        return self.box is None or corners(annotation["box"]) == corners(self.box)


SIDES = ("x", "y", "width", "height")


def corners(box: dict[str, str]) -> tuple[float, ...]:
    return tuple(float(box[side]) for side in SIDES)


def items_of(image: dict[str, Any], above: list[Above]) -> list[Item]:
    """What a view has of an image: the image, or those of its boxes in a detection view above.

    Each view above chooses, beginning with the topmost. An item stays if its concepts in that view
    include all of any of the groups; of boxes at the same place the first one that does.
    """
    items = [Item(None, None)]
    for view_id, kind, conditions in reversed(above):
        annotations = image["annotations"].get(view_id, {"annotations": []})["annotations"]
        if items and kind == "detection":
            places: dict[tuple[float, ...], Item] = {}
            for number, annotation in enumerate(annotations):
                if [annotation["concept_id"]] in conditions:
                    places.setdefault(corners(annotation["box"]), Item(number, annotation["box"]))
            items = list(places.values())
            continue
        chosen = []
        for item in items:
            held = {a["concept_id"] for a in annotations if item.holds(a)}
            if any(held.issuperset(group) for group in conditions):
                chosen.append(item)
        items = chosen
    return items


def is_annotated(image: dict[str, Any], above: list[Above], view_id: str, item: Item) -> bool:
    """Whether an item is annotated: itself, or by the word that nothing else holds a concept.

    Of crops, that word is about those that there were: no view from the detection on may have been
    annotated since.
    """
    annotated = image["annotations"][view_id]
    if any(item.holds(annotation) for annotation in annotated["annotations"]):
        return True
    if item.box is None or not annotated["without_concept"]:
        return bool(annotated["without_concept"])
    between = [view.kind for view in above].index("detection") + 1
    since = image["annotated"][view_id]
    return all(image["annotated"][view.view_id] < since for view in above[:between])


def manifest(
    images: dict[str, dict[str, Any]], above: list[Above], version: Any, tested: bool
) -> Iterator[tuple[str, str]]:
    """The split and the line of each item that a version trains on, sorted by image; or, if it is
    `tested`, of each item of the test set.

    The image is in the project, and the item is annotated in the view: in classification with
    exactly one of the version's concepts, in detection with one or more, in tagging with any number
    of them, or as without concept. With `negative_validation`, a detection's validation and test
    images have any number. With the option `reviewed_only`, a training image's annotation is the
    one that was reviewed.
    """
    concepts = {concept["concept_id"] for concept in version["concepts"]}
    view = version["view_id"]
    for stream, image in sorted(images.items()):
        annotated = image["annotations"].get(view)
        if image["project"] != version["project_id"] or annotated is None:
            continue
        if (image["split"] == "test") != tested:
            continue
        reviewed = image["reviewed"].get(view) == image["annotated"][view]
        if (
            (version["options"] or {}).get("reviewed_only")
            and image["split"] == "train"
            and not reviewed
        ):
            continue
        for item in items_of(image, above):
            if not is_annotated(image, above, view, item):
                continue
            own = [each for each in annotated["annotations"] if item.holds(each)]
            kept = [each for each in own if each["concept_id"] in concepts]
            if version["kind"] == "classification" and len(kept) != 1:
                continue
            negative = version.get("negative_validation") and image["split"] != "train"
            if version["kind"] == "detection" and not kept and not negative:
                continue
            yield image["split"], line_of(stream.removeprefix("image-"), image, item, kept)


def line_of(image_id: str, image: dict[str, Any], item: Item, kept: list[Any]) -> str:
    def numbers(box: dict[str, str]) -> str:
        return ",".join(str(box[side]) for side in SIDES)

    boxes = [numbers(each["box"]) for each in kept if each["box"] and item.box is None]
    ids = [each["concept_id"] for each in kept]
    line = '{"blob":' + json.dumps(image["blob"])
    line += ',"boxes":[[' + "],[".join(boxes) + "]]" if boxes else ""
    line += ',"concepts":' + json.dumps(ids).replace(", ", ",")
    line += ',"crop":[' + numbers(item.box) + "]" if item.box else ""
    key = image_id if item.number is None else f"{image_id}:{item.number}"
    return line + ',"image":' + json.dumps(key) + ',"split":' + json.dumps(image["split"]) + "}\n"


def verify(archive: zipfile.ZipFile, keys: Keys, kept: Iterable[str]) -> Iterator[str]:
    """Steps 2 to 5. Yields a line for each proof. `kept` are the auditor's own checkpoints."""
    signed = checkpoints_in(CHECKPOINTS, lines(archive, CHECKPOINTS), keys)
    own = list(checkpoints_in("your checkpoints", kept, keys))
    own.sort(key=lambda checkpoint: checkpoint.size)
    both = heapq.merge(signed, own, key=lambda checkpoint: checkpoint.size)
    files = {name for name in archive.NameToInfo if name.startswith(("blobs/", "manifests/"))}
    created: dict[str, Event] = {}
    frozen: list[Event] = []
    weights: list[tuple[str, str]] = []
    tree, revisions, named = Tree(), dict[str, int](), set[str]()
    checkpoints = (checkpoint for checkpoint in both if checkpoint.size)
    for event in proved(archive, checkpoints, tree, revisions):
        for digest in re.findall(r"[0-9a-f]{64}", event.state.decode()):
            named |= files & {f"blobs/{digest}", f"manifests/{digest}.jsonl"}
        if event.name == "version.created":
            created[event.stream] = event
        elif event.name in ("version.dataset_frozen", TESTED):
            frozen.append(event)
        elif event.name in ("version.training_completed", "version.adopted"):
            weights.append((event.stream, event.data()["checkpoint"]))
    if named < files:
        raise Rejected(f"{min(files - named)}: no event in the bundle names it")
    of, included = parse_json(next(lines(archive, "bundle.json")))["of"], sum(revisions.values())
    if included < tree.size if of == "all" else of not in revisions:
        raise Rejected(f"bundle.json: this is not a bundle of {of}")
    datasets = list(check_datasets(archive, created, frozen))

    yield f"bundle of {of}: {included} of {tree.size} signed events"
    yield f"proved: each event is in the log at its position; the root is {tree.root().hex()}"
    yield f"proved: each of {len(revisions)} streams is numbered from 1 on, with none missing"
    if own:
        yield f"proved: the log has only grown since your {len(own)} checkpoints"
    yield from datasets
    for stream, digest in weights:
        verdict = (
            "proved" if f"blobs/{digest}" in files else "NOT proved, because the file is missing"
        )
        yield f"{verdict}: the weights of {stream} have the sha256 {digest}"
    yield f"proved: {len(files)} files, manifests and blobs, have the sha256 that an event names"
    if included < tree.size:
        yield (
            "NOT proved: that nothing of interest was left out. An image, or the end of a stream,"
            " may have been left out on purpose; a bundle of all events would show it"
        )
    yield "NOT proved: that the content of events is true, or anything about later events"
    yield f"NOT proved: README.txt, blobs.jsonl and schemas/; only {SUMS} covers them"


def report(line: str) -> None:
    """Print a line in ASCII; control sequences for the terminal are escaped."""
    print(ascii(line.strip())[1:-1])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check an audit bundle of Stemma, offline.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "--key", type=Path, help="the log's public keys, from a source that you trust"
    )
    parser.add_argument("--against", type=Path, help="signed checkpoints that you kept")
    options = parser.parse_args(arguments)
    try:
        text = options.key.read_text("utf-8") if options.key else ""
        keys = parse_keys(str(options.key), text.splitlines())
        kept = options.against.read_text("utf-8").splitlines(True) if options.against else []
        if (options.key and not keys) or (options.against and not kept):
            raise Rejected("a file is empty")
        file = options.bundle.open("rb")
    except (OSError, ValueError, Rejected) as error:
        print(f"cannot be read: {error}", file=sys.stderr)
        return 2
    try:
        with file, zipfile.ZipFile(file) as archive:
            check_archive(archive)
            keys = keys or parse_keys(KEYS, lines(archive, KEYS))
            for line in verify(archive, keys, kept):
                report(line)
    except Rejected as rejected:
        report(f"REFUSED: {rejected}")
        return 1
    except Exception as error:  # the file is untrusted: any error rejects it
        report(f"REFUSED: the archive, or an event in it, is damaged: {error!r}")
        return 1
    if options.key:
        report("VERIFIED with your key")
        return 0
    report("NOT proved: whose log it is. It was checked with the keys in the bundle.")
    report("Compare them with those that you were given elsewhere:")
    for (name, key_id), key in keys.items():
        encoded = base64.b64encode(b"\x01" + key.public_bytes_raw()).decode()
        report(f"{name}+{key_id.hex()}+{encoded}")
    report("VERIFIED to be consistent, with the keys in the bundle")
    return 0


if __name__ == "__main__":
    sys.exit(main())

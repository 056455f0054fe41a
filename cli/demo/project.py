"""The demo's project: made from a plan and a seed, and found again where it was made before.

An id is made of the Idempotency-Key of the command that makes the thing, and the keys here are made
of the project's content. So ids, and what follows from them, the split and the order of the images,
are the same wherever the content is; and in one log it is one project of an account.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console

from cli.client import ApiClient, ApiProblem
from cli.demo.digits import handwritten_digits
from cli.demo.plans import PLANS, Plan
from cli.demo.scenes import VALIDATION, write_scenes
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from stemma_client.packing import pack

UPLOAD_BATCH = 600
VALIDATION_SHARE = 0.2
SCENES = "Scenes of digits"

Key = Callable[[str], str]
"""The Idempotency-Key of a step."""


def make_project(
    client: ApiClient, console: Console, plan: Plan, seed: int, images: int | None = None
) -> str:
    """Make the project, or find it; the id of the view to train in. Of single digits, only the
    first `images` are taken."""
    if plan.kind == CLASSIFICATION:
        return _annotated_digits(client, console, plan, seed, images)
    return _imported_scenes(client, console, plan, seed)


def _annotated_digits(
    client: ApiClient, console: Console, plan: Plan, seed: int, images: int | None
) -> str:
    """Single digits, uploaded and annotated one request after the other."""
    files, digits = handwritten_digits()
    files, digits = files[:images], digits[:images]
    project = {"name": "Handwritten digits"}
    view = {"name": plan.view, "kind": plan.kind}
    labels = {"labels": [str(digit) for digit in range(10)]}
    split = {"size": VALIDATION_SHARE, "seed": seed}

    content = hashlib.sha256(msgspec.json.encode((project, view, labels, split, digits)))
    for name, data in files:
        content.update(name.encode())
        content.update(hashlib.sha256(data).digest())
    key = _keys_of(content.hexdigest())
    uploaded = upload_digits(client, key, project["name"], plan.view, files, digits, split)
    console.print(f"The project has {len(files):,} images of handwritten digits")
    console.print("They are annotated with ten concepts, and 20% of them are the validation set")
    return uploaded.view_id


def _keys_of(content: str) -> Key:
    return lambda step: f"demo {content} {step}"


class UploadedDigits(NamedTuple):
    """The view, the ids of its ten concepts by digit, and those of the images, in their order."""

    view_id: str
    concepts: list[str]
    image_ids: list[str]


def upload_digits(
    client: ApiClient,
    key: Key,
    project: str,
    view: str,
    files: Sequence[tuple[str, bytes]],
    digits: Sequence[int],
    split: Mapping[str, object],
) -> UploadedDigits:
    """Make a project of these images, and annotate each with the concept of a digit."""
    project_id = client.command("projects", {"name": project}, key("project"))["id"]
    image_ids: list[str] = []
    for start in range(0, len(files), UPLOAD_BATCH):
        batch = list(files[start : start + UPLOAD_BATCH])
        path = f"projects/{project_id}/images"
        image_ids += client.upload(path, batch, key(f"images from {start}"))["ids"]
    created = {"name": view, "kind": CLASSIFICATION}
    view_id = client.command(f"projects/{project_id}/views", created, key("view"))["id"]
    labels = {"labels": [str(digit) for digit in range(10)]}
    concepts = client.command(f"views/{view_id}/concepts", labels, key("concepts"))["ids"]
    annotations = [
        {"image_id": image_id, "annotations": [{"concept_id": concepts[digit]}]}
        for image_id, digit in zip(image_ids, digits, strict=True)
    ]
    annotated = {"images": annotations}
    client.command(f"views/{view_id}/annotations", annotated, key("annotations"))
    client.command(f"projects/{project_id}/validation-split", split, key("split"))
    return UploadedDigits(str(view_id), list(concepts), image_ids)


def _imported_scenes(client: ApiClient, console: Console, plan: Plan, seed: int) -> str:
    """Scenes of several digits, imported with both of their views."""
    with tempfile.TemporaryDirectory(prefix="stemma-demo-") as name:
        folder = Path(name)
        views = {kind: PLANS[kind].view for kind in (TAGGING, DETECTION)}
        count = write_scenes(folder, views, plan.scenes, seed)
        content = hashlib.sha256()
        for piece in pack(folder):
            content.update(piece)

        key = _keys_of(content.hexdigest())
        made = client.command("projects", {"name": SCENES}, key("project"))
        _import(client, made["id"], folder, key)
    console.print(
        f"The project has {count:,} scenes of handwritten digits; {VALIDATION} are the"
        " validation set"
    )
    rows = client.query(f"projects/{made['id']}/views")["items"]
    (view_id,) = (row["view_id"] for row in rows if row["name"] == plan.view)
    return str(view_id)


def _import(client: ApiClient, project_id: str, folder: Path, key: Key) -> None:
    """Import the scenes. An earlier import that came to nothing is not held against a new one."""
    path = f"projects/{project_id}/imports/upload"
    send = partial(client.send_body, path, lambda: pack(folder), {"name": "scenes.tar"})
    item = _ended(client, send(key("import")))
    if item["status"] != "completed":
        item = _ended(client, send())
    if item["status"] != "completed":
        raise ApiProblem(f"the import is {item['status']}: {item['reason']}")


def _ended(client: ApiClient, answer: dict[str, Any]) -> dict[str, Any]:
    """An import, once it has ended and what it made can be seen."""
    status = client.query(f"imports/{answer['id']}", at_least=answer["position"])
    while status["item"]["status"] == "requested":
        time.sleep(0.2)
        status = client.query(f"imports/{answer['id']}")
    item: dict[str, Any] = status["item"]
    return item

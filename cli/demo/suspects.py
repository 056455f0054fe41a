"""`stemma demo --kind suspects`: labels that are wrong on purpose, found, mended, trained again."""

import csv
import io
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console

from cli.access.login import sign_in_address
from cli.client import ApiClient, ApiProblem
from cli.demo.digits import handwritten_digits
from cli.demo.plans import SUSPECTS
from cli.demo.project import VALIDATION_SHARE, upload_digits
from cli.demo.runs import demo_training
from cli.demo.system import demo_system, say_stopped, write_result
from cli.training.demo_screen import watch
from domain.formatting import counted

WRONG_SHARE = 0.1
"""Of all labels, in either split."""


class SuspectsResult(msgspec.Struct, frozen=True):
    """What `--json` writes. Accuracies are on validation images, by their right labels."""

    first_version: str
    second_version: str
    wrong: int
    suspects: int
    corrected: int
    upheld: int
    accuracy_before: float
    accuracy_after: float
    seconds: float


class Digits(NamedTuple):
    """The images of the demo: what each shows, and the ids of the ten concepts."""

    view_id: str
    concepts: list[str]
    truth: Mapping[str, int]
    wrong: frozenset[str]


def run_suspects_demo(
    *, keep: bool, json_file: Path | None, epochs: float | None, seed: int
) -> int:
    """Train on wrong labels, correct the suspects that are wrong, train again; 0 if that helped."""
    console = Console()
    options = SUSPECTS | {"seed": seed} | ({} if epochs is None else {"epochs": epochs})
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    try:
        with demo_system(say, keep=keep) as (client, data):
            digits = _upload(client, say, seed)

            def train(name: str) -> str:
                training = {"name": name, "options": options}
                path = f"views/{digits.view_id}/versions"
                with demo_training(client, data, path, training, say) as version_id:
                    say(f"Watch it at {sign_in_address(client, f'/versions/{version_id}')}")
                    watch(client, version_id, console)
                return version_id

            first = train("With wrong labels")
            before = _accuracy(client, first, digits)
            suspects = _suspects(client, first)
            corrected, upheld = _decide(client, first, suspects, digits)
            say(
                f"{counted(len(suspects), 'suspect')}, of"
                f" {counted(len(digits.wrong), 'wrong label')}:"
                f" {corrected} corrected, {upheld} upheld because they are right"
            )
            second = train("With corrected labels")
            after = _accuracy(client, second, digits)
            _tell_how_they_moved(client, first, second, say)
    except ApiProblem as problem:
        say_stopped(console, problem)
        return 1
    result = SuspectsResult(
        first,
        second,
        len(digits.wrong),
        len(suspects),
        corrected,
        upheld,
        before,
        after,
        round(time.monotonic() - began, 1),
    )
    write_result(json_file, result)
    colour = "green" if after > before else "red"
    console.print(
        f"[{colour}]Accuracy on the validation images, by their correct labels: {before:.3f}"
        " before,"
        f" {after:.3f} after, in {result.seconds} s[/{colour}]"
    )
    return 0 if after > before else 1


def _upload(client: ApiClient, say: Callable[[str], None], seed: int) -> Digits:
    """A project of its own each time, since what an earlier demo corrected is no suspect."""
    files, digits = handwritten_digits()
    chance = random.Random(seed)
    wrong = frozenset(chance.sample(range(len(files)), round(WRONG_SHARE * len(files))))
    labels = [
        chance.choice([other for other in range(10) if other != digit]) if n in wrong else digit
        for n, digit in enumerate(digits)
    ]
    run = str(uuid.uuid4())
    uploaded = upload_digits(
        client,
        lambda step: f"demo suspects {run} {step}",
        "Digits with wrong labels",
        "Which digit?",
        files,
        labels,
        {"size": VALIDATION_SHARE, "seed": seed},
    )
    say(f"{len(wrong):,} of {len(files):,} images get a wrong label on purpose")
    truth = dict(zip(uploaded.image_ids, digits, strict=True))
    wrong_ids = frozenset(uploaded.image_ids[n] for n in wrong)
    return Digits(uploaded.view_id, uploaded.concepts, truth, wrong_ids)


def _suspects(client: ApiClient, version_id: str) -> list[dict[str, Any]]:
    path = f"versions/{version_id}/suspects"
    while not client.query(path)["complete"]:
        time.sleep(0.2)
    return list(client.query_all(path, limit=500))


def _decide(
    client: ApiClient, version_id: str, suspects: Sequence[Mapping[str, Any]], digits: Digits
) -> tuple[int, int]:
    """Correct the suspects whose label is wrong, and uphold the others; how many of each."""
    corrections, right = [], []
    for suspect in suspects:
        concept_id = digits.concepts[digits.truth[suspect["image_id"]]]
        if suspect["concept_id"] == concept_id:
            right.append(suspect["item"])
        else:
            annotations = [{"concept_id": concept_id}]
            corrections.append({"item": suspect["item"], "annotations": annotations})
    path = f"versions/{version_id}/suspects/decisions"
    for body in (
        {"decision": "corrected", "corrections": corrections},
        {"decision": "upheld", "items": right},
    ):
        if body.get("corrections") or body.get("items"):
            client.command(path, body)
    return len(corrections), len(right)


def _accuracy(client: ApiClient, version_id: str, digits: Digits) -> float:
    """The share of validation images whose most probable concept is what they show."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "predictions.csv")
        client.download(f"versions/{version_id}/evaluation/predictions.csv", file, {})
        rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
        best: dict[str, tuple[float, str]] = {}
        for row in rows:
            if row["split"] == "validation":
                scored = float(row["score"]), row["concept_id"]
                best[row["image_id"]] = max(best.get(row["image_id"], scored), scored)
    right = [
        concept_id == digits.concepts[digits.truth[image_id]]
        for image_id, (_, concept_id) in best.items()
    ]
    return sum(right) / len(right)


def _tell_how_they_moved(
    client: ApiClient, first: str, second: str, say: Callable[[str], None]
) -> None:
    since = client.query(f"versions/{second}")["corrected"]
    counts = client.query(f"versions/{first}/compare/{second}/corrected")["counts"]
    moved = ", ".join(
        f"{counts[change]} {change}" for change in ("right", "fixed", "broken", "wrong")
    )
    say(f"{counted(since['images'], 'image')} corrected since '{since['name']}': {moved}")

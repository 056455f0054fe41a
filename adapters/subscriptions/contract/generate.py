"""The generated files: schemas and docs/asyncapi.yaml from the code and the golden samples."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from adapters.subscriptions.contract.asyncapi import as_yaml, document
from adapters.subscriptions.contract.compatibility import breaches
from adapters.subscriptions.contract.payloads import (
    FOLDER,
    Form,
    Schema,
    current,
    file_name,
    payload_schema,
    published,
)
from domain.event import registry
from domain.personal import erased_values

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "golden"
ASYNCAPI = ROOT / "docs" / "asyncapi.yaml"


class Incompatible(Exception):
    """A published version would mean something else, or a sample is missing; a line for each."""


def generated(before: Mapping[Form, Schema], samples: Path = SAMPLES) -> dict[Form, Schema]:
    """All schemas: those from before, and those of today as the code has them.

    Raises `Incompatible`.
    """
    today = {
        (name, version): payload_schema(registry()[name])
        | {"examples": _examples(samples, (name, version))}
        for name, version in current().items()
    }
    if found := list(_problems(before, today)):
        raise Incompatible("\n".join(found))
    return dict(sorted({**before, **today}.items()))


def _problems(before: Mapping[Form, Schema], today: Mapping[Form, Schema]) -> Iterator[str]:
    for name, version in before:
        newest = current().get(name)
        if newest is None:
            yield f"{name}: the event was removed, but its version {version} is published"
        elif version > newest:
            yield f"{name}: version {version} is published, but the code has only {newest}"
    for (name, version), schema in today.items():
        for older in range(1, version):
            if (name, older) not in before:
                yield f"{name}: the schema of version {older} was removed: restore it from history"
        for breach in breaches(before.get((name, version), schema), schema):
            yield f"{name}, version {version}: {breach}: raise its schema_version"


def _examples(samples: Path, form: Form) -> list[Any]:
    """The golden sample's payload, as it is published."""
    sample = samples / file_name(form)
    if not sample.exists():
        raise Incompatible(f"{form[0]}, version {form[1]}: write its golden sample first")
    stored = json.loads(sample.read_bytes())
    event_type = registry()[form[0]]
    return [stored["data"] | erased_values(event_type)]


def files() -> dict[Path, str]:
    """What the generated files are to hold, by path. Raises `Incompatible`."""
    schemas = generated(published())
    texts = {FOLDER / file_name(form): _as_json(schema) for form, schema in schemas.items()}
    return texts | {ASYNCAPI: as_yaml(document(schemas))}


def drift() -> list[Path]:
    """The files that do not hold what they should."""
    return [
        path
        for path, text in files().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def write() -> list[Path]:
    """Bring the files up to date; those that changed."""
    changed = drift()
    texts = files()
    for path in changed:
        path.write_text(texts[path], encoding="utf-8")
    return changed


def _as_json(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"

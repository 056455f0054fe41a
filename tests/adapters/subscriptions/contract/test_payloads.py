"""Every version of every event has a schema, and what was ever published is as it says."""

from typing import Any

import jsonschema
import msgspec
import pytest

from adapters.subscriptions.contract.generate import SAMPLES, drift
from adapters.subscriptions.contract.payloads import Form, current, file_name, form_of, published
from domain.event import registry
from domain.personal import erased_values
from domain.subscriptions.cloud_events import cloud_event
from tests.golden.test_samples import read

each_form = pytest.mark.parametrize("form", sorted(published()), ids=file_name)


def sample(form: Form) -> dict[str, Any]:
    """The golden sample's payload in the form that was published."""
    stored: Any = msgspec.json.decode((SAMPLES / file_name(form)).read_bytes())
    payload: dict[str, Any] = stored["data"]
    return payload | erased_values(registry()[form[0]])


def test_every_golden_sample_has_its_schema() -> None:
    assert set(published()) == {form_of(path.name) for path in SAMPLES.glob("*.json")}


@each_form
def test_the_golden_sample_is_as_its_schema_says(form: Form) -> None:
    schema = published()[form]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(sample(form), schema)
    assert schema["examples"] == [sample(form)]
    assert sample(form).keys() <= schema["properties"].keys()


@pytest.mark.parametrize("name", current())
def test_what_is_published_today_is_as_the_newest_schema_says(name: str) -> None:
    form = name, current()[name]
    event = cloud_event(read(SAMPLES / file_name(form)))
    jsonschema.validate(msgspec.json.decode(msgspec.json.encode(event.data)), published()[form])
    assert published()[form]["$id"] == event.dataschema


def test_the_generated_files_are_up_to_date() -> None:
    assert drift() == [], "run `make contract`, review the changes, and commit them"

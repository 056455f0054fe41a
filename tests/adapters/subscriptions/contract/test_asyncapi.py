"""docs/asyncapi.yaml hangs together, and its messages are what is published."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT7

from adapters.nats.jetstream import event_subject
from adapters.subscriptions.contract.asyncapi import key
from adapters.subscriptions.contract.generate import ASYNCAPI, SAMPLES
from adapters.subscriptions.contract.payloads import current, file_name, published
from domain.subscriptions.cloud_events import CloudEvent, binary_headers, cloud_event
from domain.training.jobs import TrainerJob
from domain.training.messages import ConceptLabel, Desired, DesiredState
from tests.application.training.reports import reports, whole_run
from tests.golden.test_samples import read
from tests.golden.write import SHA

DOCUMENT: dict[str, Any] = yaml.safe_load(ASYNCAPI.read_bytes())
PLACE = "urn:asyncapi"
KNOWN: Registry[Any] = Registry().with_resource(PLACE, DRAFT7.create_resource(DOCUMENT))

each_name = pytest.mark.parametrize("name", current())


def resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from references(one)


def validate(value: object, path: str) -> None:
    """Check a value against a schema of the document."""
    schema = {"$ref": f"{PLACE}#/{path}"}
    jsonschema.Draft7Validator(schema, registry=KNOWN).validate(value)


def published_now(name: str) -> CloudEvent:
    return cloud_event(read(SAMPLES / file_name((name, current()[name]))))


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 2 * len(published())
    for reference in found:
        assert isinstance(resolve(reference), dict)


def test_every_message_is_of_a_channel_and_every_channel_of_an_operation() -> None:
    of_channels = {r for r in references(DOCUMENT["channels"]) if "/messages/" in r}
    messages = DOCUMENT["components"]["messages"]
    assert of_channels == {f"#/components/messages/{name}" for name in messages}
    of_operations = {one["channel"]["$ref"] for one in DOCUMENT["operations"].values()}
    assert of_operations == {f"#/channels/{name}" for name in DOCUMENT["channels"]}


def test_there_is_a_message_for_every_form() -> None:
    assert set(DOCUMENT["channels"]["events"]["messages"]) == {key(form) for form in published()}


@each_name
def test_a_message_on_nats_is_as_described(name: str) -> None:
    event = published_now(name)
    message = key((name, event.schemaversion))
    headers = binary_headers(event)
    validate(headers | {"Nats-Msg-Id": event.id}, f"components/messages/{message}/headers")
    validate(
        msgspec.json.decode(msgspec.json.encode(event.data)),
        f"components/messages/{message}/payload",
    )
    described = DOCUMENT["components"]["schemas"]["headers"]["properties"]
    assert headers.keys() <= described.keys()
    # Another event is not taken for it.
    with pytest.raises(jsonschema.ValidationError):
        validate(headers | {"ce-type": "other"}, f"components/messages/{message}/headers")


def test_every_subject_is_one_of_the_channels_address() -> None:
    channel = DOCUMENT["channels"]["events"]
    for name in current():
        aggregate, event = name.split(".")
        assert aggregate in channel["parameters"]["aggregate"]["enum"]
        assert event in channel["parameters"]["event"]["enum"]
        place = {"id": "7", "project": "3", "view": "-"}
        filled = channel["address"].format(aggregate=aggregate, event=event, **place)
        assert filled == event_subject(name, "7", "3", None)


@each_name
def test_the_json_of_an_event_is_as_described(name: str) -> None:
    told = msgspec.json.decode(msgspec.json.encode(published_now(name)))
    path = "components/messages/cloudEvent/payload"
    validate(told, path)
    described = DOCUMENT["components"]["schemas"][key((name, told["schemaversion"]))]
    for field in described["required"]:
        without = {one: value for one, value in told["data"].items() if one != field}
        with pytest.raises(jsonschema.ValidationError):
            validate(told | {"data": without}, path)
    # What a newer server sends is allowed.
    validate(told | {"type": "project.praised", "data": {"event": "project.praised"}}, path)
    validate(told | {"schemaversion": 99, "data": {"event": name}}, path)


def test_a_page_is_as_described() -> None:
    items = [msgspec.json.decode(msgspec.json.encode(published_now("project.created")))]
    page: dict[str, Any] = {"items": items, "next": 1, "position": 1}
    validate(page, "components/messages/page/payload")
    with pytest.raises(jsonschema.ValidationError):
        validate(page | {"items": [{}]}, "components/messages/page/payload")


def test_the_contract_with_trainers_is_as_described() -> None:
    job = TrainerJob(
        "v1", 1, "tagging", (ConceptLabel("c", "cat"),), "acme/logreg", SHA, {"epochs": 8},
        "onnx", SHA, 8, 2, "correlation",
    )  # fmt: skip
    sent: dict[str, list[object]] = {
        "job": [job],
        "report": list(reports("v1", whole_run())),
        "desired": [DesiredState(1, Desired.STOP)],
    }
    for name, values in sent.items():
        for value in values:
            plain = msgspec.json.decode(msgspec.json.encode(value))
            validate(plain, f"components/messages/{name}/payload")
    spoilt = msgspec.json.decode(msgspec.json.encode(sent["report"][0])) | {"worker": "a b"}
    with pytest.raises(jsonschema.ValidationError):
        validate(spoilt, "components/messages/report/payload")


def test_older_messages_lack_what_is_not_always_there() -> None:
    """An older program's headers are taken, too; what they must have is missed."""
    headers = binary_headers(published_now("project.created")) | {"ce-sequence": "478"}
    path = "components/messages/project.created.v1/headers"
    for name in ("ce-traceparent", "ce-dataschema", "ce-causationid"):
        del headers[name]
    validate(headers, path)
    del headers["ce-sequence"]
    with pytest.raises(jsonschema.ValidationError):
        validate(headers, path)

"""Which changes of an OpenAPI document break the clients of the one before.

The rules are those that oasdiff reports as errors: an operation, a parameter that was answered to,
a status, a media type or a field of an answer that is gone; a type that changed; a value that is no
longer taken; input that is newly required. New operations, optional input, fields and values of
answers break nobody: clients leave out what they do not know.
"""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_ALTERNATIVES = ("oneOf", "anyOf")
_ANYTHING = {"null", "boolean", "string", "integer", "number", "array", "object"}
_LOWER_LIMITS = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER_LIMITS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def find_breaking_changes(before: Json, after: Json) -> Iterator[str]:
    """Each change of the document that breaks a client, in words, with its place."""
    for path, operations in before["paths"].items():
        for method, operation in operations.items():
            label = f"{method.upper()} {path}"
            changed = after["paths"].get(path, {}).get(method)
            if changed is None:
                yield f"{label} is gone"
                continue
            yield from _Comparison(before, after, label).operation(operation, changed)


class _Comparison:
    """Compares what is at one place in both documents, following references."""

    def __init__(self, before: Json, after: Json, label: str) -> None:
        self._before, self._after, self._label = before, after, label
        self._open: set[tuple[str, str]] = set()

    def operation(self, before: Json, after: Json) -> Iterator[str]:
        label = self._label
        if before["operationId"] != after["operationId"]:
            yield f"{label}: operationId was {before['operationId']}, is {after['operationId']}"
        yield from self._parameters(before, after)
        yield from self._body(before.get("requestBody"), after.get("requestBody"))
        for status, answer in before["responses"].items():
            if not status.startswith("2"):
                continue
            changed = after["responses"].get(status)
            if changed is None:
                yield f"{label}: status {status} is gone"
                continue
            for media_type, content in answer.get("content", {}).items():
                place = f"{label}: {status} {media_type}"
                other = changed.get("content", {}).get(media_type)
                if other is None:
                    yield f"{place} is gone"
                else:
                    yield from self._answer(place, content["schema"], other["schema"])

    def _parameters(self, before: Json, after: Json) -> Iterator[str]:
        known = {(each["in"], each["name"]): each for each in before.get("parameters", ())}
        now = {(each["in"], each["name"]): each for each in after.get("parameters", ())}
        for key in known.keys() | now.keys():
            place = f"{self._label}: {key[0]} parameter `{key[1]}`"
            old, new = known.get(key), now.get(key)
            if new is None:
                yield f"{place} is gone"
            elif old is None:
                if new.get("required"):
                    yield f"{place} is new and required"
            else:
                if new.get("required") and not old.get("required"):
                    yield f"{place} is newly required"
                yield from self._input(place, old["schema"], new["schema"])

    def _body(self, before: Json | None, after: Json | None) -> Iterator[str]:
        place = f"{self._label}: the body"
        if after is None:
            return
        if before is None:
            if after.get("required"):
                yield f"{place} is new and required"
            return
        if after.get("required") and not before.get("required"):
            yield f"{place} is newly required"
        for media_type, content in before["content"].items():
            other = after["content"].get(media_type)
            if other is None:
                yield f"{place} may no longer be {media_type}"
            else:
                yield from self._input(place, content["schema"], other["schema"])

    def _answer(self, place: str, before: Json, after: Json) -> Iterator[str]:
        yield from self._schema(place, before, after, is_input=False)

    def _input(self, place: str, before: Json, after: Json) -> Iterator[str]:
        yield from self._schema(place, before, after, is_input=True)

    def _schema(self, place: str, before: Json, after: Json, *, is_input: bool) -> Iterator[str]:
        names = before.get("$ref", ""), after.get("$ref", "")
        if any(names):
            if names in self._open:
                return
            self._open.add(names)
        old, new = _resolved(before, self._before), _resolved(after, self._after)
        yield from self._types(place, old, new, is_input)
        yield from self._values(place, old, new, is_input)
        yield from self._fields(place, old, new, is_input)
        for inner in ("items", "additionalProperties"):
            if isinstance(old.get(inner), dict) and isinstance(new.get(inner), dict):
                yield from self._schema(f"{place}[]", old[inner], new[inner], is_input=is_input)
        yield from self._alternatives(place, old, new, is_input)
        self._open.discard(names)

    def _types(self, place: str, old: Json, new: Json, is_input: bool) -> Iterator[str]:
        was, now = _types(old, self._before), _types(new, self._after)
        allowed, found = (now, was) if is_input else (was, now)
        lost = sorted(found - allowed)
        if lost:
            verb = "may no longer be" if is_input else "may now be"
            yield f"{place} {verb} {', '.join(lost)}"

    def _values(self, place: str, old: Json, new: Json, is_input: bool) -> Iterator[str]:
        if not is_input:
            return
        taken = new.get("enum")
        if taken is not None and old.get("enum") is None:
            yield f"{place} now takes only {', '.join(map(repr, taken))}"
        elif taken is not None:
            gone = [value for value in old["enum"] if value not in taken]
            if gone:
                yield f"{place} no longer takes {', '.join(map(repr, gone))}"
        for limit, sign in [(each, 1) for each in _LOWER_LIMITS] + [
            (each, -1) for each in _UPPER_LIMITS
        ]:
            was, now = old.get(limit), new.get(limit)
            if now is not None and (was is None or sign * (now - was) > 0):
                yield f"{place}: {limit} was {'absent' if was is None else was} and is {now}"

    def _fields(self, place: str, old: Json, new: Json, is_input: bool) -> Iterator[str]:
        known, now = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name, schema in known.items():
            if name in now:
                yield from self._schema(f"{place}.{name}", schema, now[name], is_input=is_input)
            else:
                yield f"{place}.{name} is gone"
        if is_input:
            for name in sorted(needs - needed):
                yield f"{place}.{name} is {'newly' if name in known else 'new and'} required"
        else:
            for name in sorted((needed - needs) & now.keys()):
                yield f"{place}.{name} may now be absent"

    def _alternatives(self, place: str, old: Json, new: Json, is_input: bool) -> Iterator[str]:
        """Alternatives are compared in their order, as far as both have them."""
        for keyword in _ALTERNATIVES:
            pairs = zip(old.get(keyword, ()), new.get(keyword, ()), strict=False)
            for one, other in pairs:
                yield from self._schema(place, one, other, is_input=is_input)


def _resolved(schema: Json, document: Json) -> Json:
    while "$ref" in schema:
        kind, name = schema["$ref"].removeprefix("#/components/").split("/")
        schema = document["components"][kind][name]
    return schema


def _types(schema: Json, document: Json) -> set[str]:
    """The JSON types that a schema allows: all, if it says nothing of it."""
    declared = schema.get("type", ())
    types = {declared} if isinstance(declared, str) else set(declared)
    for keyword in _ALTERNATIVES:
        for each in schema.get(keyword, ()):
            types |= _types(_resolved(each, document), document)
    if "number" in types:
        types.add("integer")
    return types or _ANYTHING

"""JSON Schemas as Python: annotations, and msgspec structs."""

import keyword
import textwrap
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

SCALARS = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
}
LINE = 100

NameOf = Callable[[Json], str]
"""The class of a schema that is an object with properties, or a reference to one."""


def annotation(schema: Json, name_of: NameOf, *, closed: bool) -> str:
    """The annotation of a schema's values. With `closed`, enums are literals; otherwise they are
    of their values' types, so that a value that is new to this client is taken in."""
    if "$ref" in schema or "properties" in schema:
        return name_of(schema)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return union(annotation(one, name_of, closed=closed) for one in schema[several])
    if "allOf" in schema:
        (only,) = schema["allOf"]
        return annotation(only, name_of, closed=closed)
    if "const" in schema:
        schema = {"enum": [schema["const"]]}
    if "enum" in schema:
        return _enum(schema["enum"], closed=closed)
    kind = schema.get("type")
    if isinstance(kind, list):
        return union(annotation({**schema, "type": one}, name_of, closed=closed) for one in kind)
    if kind == "array":
        return _array(schema, name_of, closed=closed)
    if kind == "object":
        values = schema.get("additionalProperties", {})
        of = annotation(values, name_of, closed=closed) if isinstance(values, dict) else "Any"
        return f"dict[str, {of}]"
    if kind == "string" and schema.get("format") == "date-time":
        return "datetime"
    return SCALARS[kind] if kind else "Any"


def union(parts: Any) -> str:
    """Several annotations as one; None stands last."""
    seen = dict.fromkeys(name for part in parts for name in part.split(" | "))
    if "Any" in seen:
        return "Any"
    if "float" in seen:
        seen.pop("int", None)  # a float takes integers, too
    return " | ".join(sorted(seen, key=lambda name: name == "None"))


def _enum(values: list[Any], *, closed: bool) -> str:
    if closed:
        literal = ", ".join(repr(value) for value in values if value is not None)
        return union([f"Literal[{literal}]"] + ["None"] * (None in values))
    return union("None" if value is None else type(value).__name__ for value in values)


def _array(schema: Json, name_of: NameOf, *, closed: bool) -> str:
    if "prefixItems" in schema:
        parts = [annotation(one, name_of, closed=closed) for one in schema["prefixItems"]]
        return f"tuple[{', '.join(parts)}]"
    return f"list[{annotation(schema.get('items', {}), name_of, closed=closed)}]"


def struct(
    name: str, schema: Json, name_of: NameOf, *, header: str, closed: bool, lenient: bool
) -> str:
    """The source of a struct. `header` is what stands in the parentheses after its name.

    With `closed`, enums are literals. With `lenient`, a required field that is missing, because
    the server is older, is `UNSET`.
    """
    lines = [f"class {name}({header}):"]
    if "description" in schema:
        lines += docstring(schema["description"])
    required = set(schema.get("required", ()))
    for field, of in schema["properties"].items():
        typed = annotation(of, name_of, closed=closed)
        missing = "_UNSET" if lenient else ""
        default = missing if field in required else _default(of, typed)
        lines.append(f"    {attribute(field)}: {typed}{_assigned(field, default)}")
    return "\n".join([*lines, "", ""])


def untagged(schema: Json) -> tuple[Json, str]:
    """A schema without the field that tells its kind among several, and how a struct has that."""
    for field, of in schema["properties"].items():
        values = [of["const"]] if "const" in of else of.get("enum", [])
        if len(values) == 1 and field in schema.get("required", ()):
            others = {key: each for key, each in schema["properties"].items() if key != field}
            return {**schema, "properties": others}, f', tag_field="{field}", tag="{values[0]}"'
    return schema, ""


def attribute(field: str) -> str:
    """The name of a field in Python."""
    return f"{field}_" if keyword.iskeyword(field) else field


def _default(schema: Json, typed: str) -> str:
    """The source of an optional field's default; of one that the contract does not name, empty."""
    if "default" in schema:
        default = repr(schema["default"])
        copied = isinstance(schema["default"], list | dict) and schema["default"]
        return f"msgspec.field(default_factory=lambda: {default})" if copied else default
    if typed.endswith("None"):
        return "None"
    return {"list": "[]", "dict": "{}"}.get(typed.partition("[")[0], "_UNSET")


def _assigned(field: str, default: str) -> str:
    """What stands behind the annotation of a field."""
    if attribute(field) == field:
        return f" = {default}" if default else ""
    given = f"default={default}, " if default else ""
    return f" = msgspec.field({given}name={field!r})"


def docstring(text: str, indent: int = 4) -> list[str]:
    """The lines of a docstring."""
    space = " " * indent
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    if text.endswith('"'):
        text += " "
    paragraphs = [
        textwrap.wrap(" ".join(one.split()), LINE - indent - 6) for one in text.split("\n\n")
    ]
    lines = [line for paragraph in paragraphs for line in ["", *paragraph]][1:]
    if len(lines) == 1:
        return [f'{space}"""{lines[0]}"""', ""]
    inner = [f"{space}{line}".rstrip() for line in lines[1:]]
    return [f'{space}"""{lines[0]}', *inner, f'{space}"""', ""]

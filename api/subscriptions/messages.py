"""Texts of the subscriptions' pages that are not in templates, in one place for translation."""

TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
}
LIST = "list"
LIST_OF = "list of {}"
THEN = ", then "
OBJECT_OF = "object whose values are {}"

"""Fields of answers; every answer has all of them."""

from functools import partial
from typing import Any

from apiflask import Schema, fields
from apiflask.fields import Field
from apiflask.validators import OneOf, Range

integer = partial(fields.Integer, required=True)
number = partial(fields.Float, required=True)
text = partial(fields.String, required=True)
flag = partial(fields.Boolean, required=True)
share = partial(fields.Float, required=True, validate=Range(0, 1))
percent = partial(fields.Float, required=True, validate=Range(0, 100))


def array(of: Field[Any], **options: Any) -> fields.List[Any]:
    """A list of plain values."""
    return fields.List(of, required=True, **options)


def many(schema: type[Schema]) -> fields.List[Any]:
    """A list of objects."""
    return fields.List(fields.Nested(schema), required=True)


def one(schema: type[Schema], *, allow_none: bool = False) -> fields.Nested:
    """An object."""
    return fields.Nested(schema, required=True, allow_none=allow_none)


def choice(*values: str) -> fields.String:
    """One of a few words."""
    return fields.String(required=True, validate=OneOf(values))


def following() -> fields.String:
    """Where the next page begins."""
    return fields.String(required=True, allow_none=True, metadata={"description": "Cursor of the next page, or null."})

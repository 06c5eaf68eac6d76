"""What clients send: queries, bodies and uploads, checked by marshmallow and described by it."""

import re
from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf, Range
from flask import abort, request
from marshmallow import EXCLUDE, RAISE, ValidationError, missing, validates_schema
from werkzeug.exceptions import BadRequest

from imgindex.server.api.pagination import LONGEST

LARGEST_ID = 2**63 - 1
MOST_DIFFERENT = 50  # images of a decision, as each pair of them is remembered
SEND_FILES = "Send pictures as multipart/form-data, each in a field named file."
SEND_A_FILE = "Send one picture as multipart/form-data, in a field named file."


def json_only() -> None:
    """Refuse a body that is not JSON, or not of this world, where JSON is wanted."""
    if request.method in ("POST", "PATCH") and request.get_data(cache=True):
        if not request.is_json:
            abort(415, description="Send the body as application/json.")
        try:
            request.get_json()
        except (BadRequest, RecursionError):
            abort(400, description="The body is not valid JSON.")


class Flag(fields.Boolean):
    """True or false, not what is like them."""

    def deserialize(self, value: Any, *where: Any, **options: Any) -> Any:
        if not isinstance(value, bool) and value is not missing:
            raise self.make_error("invalid", input=value)
        return super().deserialize(value, *where, **options)


class Digits(fields.Integer):
    """A number of a query, in plain digits; int() also takes 1_0 and digits of other scripts."""

    def deserialize(self, value: Any, *where: Any, **options: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch("-?[0-9]{1,20}", value):
            raise self.make_error("invalid", input=value)
        return super().deserialize(value, *where, **options)


def _id(**options: Any) -> fields.Integer:
    return Digits(validate=Range(1, LARGEST_ID), **options)


class Page(Schema):
    """Which part of a list."""

    limit = Digits(load_default=50, validate=Range(1, 200), metadata={"description": "Items of a page."})
    cursor = fields.String(
        validate=Length(1, LONGEST), metadata={"description": "The `next` of the page before; opaque."}
    )


class ImagesPage(Page):
    """Which part of all images."""

    theme = _id(metadata={"description": "Only images of this theme."})


class Wanted(Schema):
    """Which neighbours."""

    k = Digits(load_default=10, validate=Range(1, 1000), metadata={"description": "How many, at most."})
    min = fields.Float(load_default=0.0, validate=Range(0, 1), metadata={"description": "Smallest similarity."})
    theme = _id(metadata={"description": "Only images of this theme."})


class Form(Schema):
    """What a report comes as."""

    format = fields.String(load_default="json", validate=OneOf(["json", "csv", "html"]))


class File(fields.File):
    """A part with a picture; an empty text field is none."""

    default_error_messages = {"invalid": "This field of the form holds text, not a file."}  # noqa: RUF012  # as marshmallow reads it

    def deserialize(self, value: Any, *where: Any, **options: Any) -> Any:
        if value == "":
            raise self.make_error("invalid")
        return super().deserialize(value, *where, **options)


def _file(**options: Any) -> File:
    return File(**options)  # type: ignore[no-untyped-call]  # of apiflask


class Pictures(Schema):
    """One or many pictures."""

    class Meta:
        unknown = EXCLUDE

    file = fields.List(_file(), required=True, validate=Length(1), error_messages={"required": SEND_FILES})


class Picture(Schema):
    """One picture."""

    class Meta:
        unknown = EXCLUDE

    file = _file(required=True, error_messages={"required": SEND_A_FILE})


class Body(Schema):
    """A JSON object without unknown names."""

    class Meta:
        unknown = RAISE


class Rename(Body):
    """A name for a theme; null takes it back."""

    name = fields.String(required=True, allow_none=True, validate=Length(max=80))


class Recluster(Body):
    """How many clusters; as many as fit best, where it does not say."""

    clusters = fields.Integer(strict=True, allow_none=True, validate=Range(1, LARGEST_ID))


class Decision(Body):
    """What a person says about a group; `forget` takes it back."""

    decision = fields.String(required=True, validate=OneOf(["keep", "different"]))
    path = fields.String(validate=Length(1, 4096))
    image = _id(strict=True)
    images = fields.List(_id(strict=True), validate=Length(2, MOST_DIFFERENT))
    forget = Flag(load_default=False)

    @validates_schema
    def _matches(self, data: dict[str, Any], **_: Any) -> None:
        named = {"path", "image", "images"} & data.keys()
        if data["decision"] == "keep" and named not in ({"path"}, {"image"}):
            raise ValidationError("To keep a file, name either its path or its image.", "decision")
        if data["decision"] == "different" and named != {"images"}:
            raise ValidationError("Name the images that differ, and nothing else.", "decision")


def _choice(decision: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    forget = {"type": "boolean", "default": False, "description": "Take this decision back."}
    return {
        "type": "object",
        "title": f"{decision} ({name})",
        "properties": {"decision": {"const": decision}, name: schema, "forget": forget},
        "required": ["decision", name],
        "additionalProperties": False,
    }


_ID = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
DECISIONS = {  # what `_matches` demands, in JSON Schema
    "description": "What a person says about a group; `forget` takes it back.",
    "oneOf": [
        _choice("keep", "image", _ID),
        _choice("keep", "path", {"type": "string", "minLength": 1, "maxLength": 4096}),
        _choice("different", "images", {"type": "array", "items": _ID, "minItems": 2, "maxItems": MOST_DIFFERENT}),
    ],
}

"""What clients send: queries, bodies and uploads, checked by marshmallow and described by it."""

import re
from typing import Any

from apiflask import Schema, fields
from apiflask.validators import Length, OneOf, Range, Regexp
from flask import abort, request
from marshmallow import EXCLUDE, RAISE, ValidationError, missing, validates_schema
from werkzeug.exceptions import BadRequest

from imgindex import LARGEST_ID, LONGEST_NAME, ORDER
from imgindex.rendering.formats import FORMATS, JSON
from imgindex.server.api.pagination import LONGEST

MOST_DIFFERENT = 50  # images of a decision: each pair of them is remembered, 1225 rows at most
LONGEST_PATH = 4096  # characters: PATH_MAX of Linux
SEND_FILES = "Send pictures as multipart/form-data, each in a field named file."
SEND_A_FILE = "Send one picture as multipart/form-data, in a field named file."


def json_only() -> None:
    """Refuse a body that is not JSON, or cannot be parsed, where JSON is expected."""
    if request.method in ("POST", "PATCH", "PUT") and request.get_data(cache=True):
        if not request.is_json:
            abort(415, description="Send the body as application/json.")
        try:
            request.get_json()
        except (BadRequest, RecursionError):
            abort(400, description="The body is not valid JSON.")


class Flag(fields.Boolean):
    """True or false, and nothing that merely resembles them."""

    def deserialize(self, value: Any, *where: Any, **options: Any) -> Any:
        if not isinstance(value, bool) and value is not missing:
            raise self.make_error("invalid", input=value)
        return super().deserialize(value, *where, **options)


class Digits(fields.Integer):
    """A number in a query, in plain digits; int() would also take 1_0 and digits of other scripts."""

    def deserialize(self, value: Any, *where: Any, **options: Any) -> Any:
        if isinstance(value, str) and not re.fullmatch("-?[0-9]{1,20}", value):
            raise self.make_error("invalid", input=value)
        return super().deserialize(value, *where, **options)


def _id(**options: Any) -> fields.Integer:
    return Digits(validate=Range(1, LARGEST_ID), **options)


class Page(Schema):
    """Which part of the list."""

    limit = Digits(load_default=50, validate=Range(1, 200), metadata={"description": "Items per page."})
    cursor = fields.String(
        validate=Length(1, LONGEST), metadata={"description": "The `next` of the previous page; opaque."}
    )


class RelatedPage(Page):
    """Which part of the related pairs."""

    kind = fields.String(
        validate=OneOf(["part", "edited", "alike"]), metadata={"description": "Only pairs of this kind."}
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
    """The format of the report."""

    format = fields.String(load_default=JSON.name, validate=OneOf(list(FORMATS)))


class File(fields.File):
    """A part with a picture; an empty text field is not one."""

    default_error_messages = {"invalid": "This field of the form is text, not a file; send the picture as a file."}  # noqa: RUF012  # as marshmallow reads it

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
    """A name for a theme; null removes it."""

    name = fields.String(required=True, allow_none=True, validate=Length(max=LONGEST_NAME))


class Recluster(Body):
    """The number of clusters; without it, as many as fit best."""

    clusters = fields.Integer(strict=True, allow_none=True, validate=Range(1, LARGEST_ID))


def _folders() -> fields.List[str]:
    """Absolute paths; a NUL or half a surrogate is in no path."""
    path = fields.String(validate=[Length(1, LONGEST_PATH), Regexp(r"^/[^\x00\ud800-\udfff]*\Z")])
    return fields.List(path, required=True)


class Policies(Body):
    """What shall hold for all groups; it replaces what held before."""

    protect = _folders()
    prefer = _folders()
    keep = fields.List(fields.String(validate=OneOf(ORDER)), required=True, validate=Length(max=len(ORDER)))
    separate_raw = Flag(required=True)


class Decision(Body):
    """A decision about a group; `forget` takes it back."""

    decision = fields.String(required=True, validate=OneOf(["keep", "different"]))
    path = fields.String(validate=Length(1, LONGEST_PATH))
    image = _id(strict=True)
    images = fields.List(_id(strict=True), validate=Length(2, MOST_DIFFERENT))
    forget = Flag(load_default=False)

    @validates_schema
    def _matches(self, data: dict[str, Any], **_: Any) -> None:
        named = {"path", "image", "images"} & data.keys()
        if data["decision"] == "keep" and named not in ({"path"}, {"image"}):
            raise ValidationError("To keep a file, send either its path or its image.", "decision")
        if data["decision"] == "different" and named != {"images"}:
            raise ValidationError("Send the images that differ, and neither path nor image.", "decision")


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
    "description": "A decision about a group; `forget` takes it back.",
    "oneOf": [
        _choice("keep", "image", _ID),
        _choice("keep", "path", {"type": "string", "minLength": 1, "maxLength": LONGEST_PATH}),
        _choice("different", "images", {"type": "array", "items": _ID, "minItems": 2, "maxItems": MOST_DIFFERENT}),
    ],
}

"""The pictures themselves: an image's file as it is, and its thumbnail."""

import os
from typing import BinaryIO

from apiflask import APIBlueprint, FileSchema
from flask import Response, request, send_file

from imgindex import THUMBNAIL, FileGoneError
from imgindex.server.api.responses import described
from imgindex.server.problems import problem
from imgindex.server.service import current

# What a browser shows as a picture and never runs; anything else is sent as bytes.
RASTER = {
    "image/avif": "avif", "image/bmp": "bmp", "image/gif": "gif", "image/heic": "heic", "image/jp2": "jp2",
    "image/jpeg": "jpg", "image/png": "png", "image/tiff": "tif", "image/vnd.radiance": "hdr", "image/webp": "webp",
    "image/x-portable-anymap": "pnm",
}  # fmt: skip
BYTES = "application/octet-stream"
FILE = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/*", BYTES)}

bp = APIBlueprint("api_pictures", __name__, url_prefix="/api/v1/images", tag="Images")
_BINARY = FileSchema(type="string", format="binary")


@bp.get("/<id:image>/file")
@bp.output(_BINARY, content_type="image/*", description="The file.")
@bp.doc(
    operation_id="get_file",
    responses={
        200: described(content=FILE),
        206: described("A range of it.", content=FILE),
        304: "It has not changed.",
        412: "Its ETag is another one.",
        416: "The file has no such range.",
    },
)
def file(image: int) -> Response:
    """The file of an image as it was indexed, or a range of it."""
    index = current().index
    sha256 = index.images.get(image).sha256.hex()
    original = index.images.original(image)
    kind = original.media_type if original.media_type in RASTER else BYTES
    name = f"image-{image}.{RASTER.get(kind, 'bin')}"
    try:
        response = _file(original.path, kind, name=name, etag=sha256)
    except OSError as error:
        raise FileGoneError(f"The file of image {image} has disappeared; put it back, or sync the index.") from error
    if response.status_code == 412:  # Flask would send the file along
        response.close()
        return problem(
            412,
            f"The file of image {image} is not the one in If-Match; send no If-Match.",
        )
    return _guarded(response, name)


@bp.get("/<id:image>/thumbnail")
@bp.output(_BINARY, content_type="image/jpeg", description=f"A JPEG of at most {THUMBNAIL} pixels a side.")
@bp.doc(operation_id="get_thumbnail", responses={304: "It has not changed."})
def thumbnail(image: int) -> Response:
    """A small JPEG of an image, with its proportions."""
    service = current()
    sha256 = service.index.images.get(image).sha256.hex()
    if request.if_none_match.contains(sha256):
        response = Response(status=304)
    else:
        response = Response(service.thumbnail(image), mimetype="image/jpeg")
    response.set_etag(sha256)
    return _guarded(response, f"thumbnail-{image}.jpg")


def _file(path: str, kind: str, *, name: str, etag: str) -> Response:
    """A file, or the range of it that was asked for."""
    opened = open(path, "rb")  # noqa: SIM115  # the answer closes it
    try:
        status = os.fstat(opened.fileno())
        response = send_file(opened, kind, download_name=name, etag=etag, last_modified=status.st_mtime)
        response.content_length = status.st_size
        response.make_conditional(request, accept_ranges=True, complete_length=status.st_size)
        _in_place(response, opened)
    except BaseException:
        opened.close()
        raise
    return response


def _in_place(response: Response, opened: BinaryIO) -> None:
    """Let the server send a range from the file, as it sends whole ones: pieces would hold a thread until read."""
    wrap = request.environ.get("wsgi.file_wrapper")
    if response.status_code == 206 and wrap is not None and response.content_range.start is not None:
        opened.seek(response.content_range.start)
        response.response = wrap(opened)


def _guarded(response: Response, name: str) -> Response:
    """Shown in place under our own name, never sniffed as another type, never cached past a sign-out."""
    response.headers["Content-Disposition"] = f"inline; filename={name}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-cache"
    return response

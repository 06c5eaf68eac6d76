"""The pictures themselves: an image's file as it is, and its thumbnail."""

from apiflask import APIBlueprint, FileSchema
from flask import Response, request, send_file

from imgindex import FileGoneError
from imgindex.server.problems import problem
from imgindex.server.service import current

# What a browser shows as a picture and never runs; anything else is but bytes.
RASTER = {
    "image/avif": "avif", "image/bmp": "bmp", "image/gif": "gif", "image/heic": "heic", "image/jp2": "jp2",
    "image/jpeg": "jpg", "image/png": "png", "image/tiff": "tif", "image/vnd.radiance": "hdr", "image/webp": "webp",
    "image/x-portable-anymap": "pnm",
}  # fmt: skip
BYTES = "application/octet-stream"

bp = APIBlueprint("api_pictures", __name__, url_prefix="/api/v1/images", tag="Images")
_BINARY = FileSchema(type="string", format="binary")


@bp.get("/<id:image>/file")
@bp.output(_BINARY, content_type="image/*", description="The file.")
@bp.doc(
    operation_id="get_file",
    responses={206: "A range of it.", 304: "It has not changed.", 412: "It is another.", 416: "No such range."},
)
def file(image: int) -> Response:
    """The file of an image, as it was indexed; ranges of it, too."""
    index = current().index
    sha256 = index.entry(image).sha256.hex()
    original = index.original(image)
    kind = original.media_type if original.media_type in RASTER else BYTES
    name = f"image-{image}.{RASTER.get(kind, 'bin')}"
    try:
        response = send_file(original.path, kind, download_name=name, conditional=True, etag=sha256)
    except OSError as error:
        raise FileGoneError(f"The file of image {image} went away; imgindex sync looks for it again.") from error
    if response.status_code == 412:  # Flask would send the file with it
        response.close()
        return problem(412, f"The file of image {image} has another ETag than If-Match names.")
    return _guarded(response, name)


@bp.get("/<id:image>/thumbnail")
@bp.output(_BINARY, content_type="image/jpeg", description="A JPEG of at most 320 pixels a side.")
@bp.doc(operation_id="get_thumbnail", responses={304: "It has not changed."})
def thumbnail(image: int) -> Response:
    """A small JPEG of an image, in its own shape."""
    service = current()
    sha256 = service.index.entry(image).sha256.hex()
    if request.if_none_match.contains(sha256):
        response = Response(status=304)
    else:
        response = Response(service.thumbnail(image), mimetype="image/jpeg")
    response.set_etag(sha256)
    return _guarded(response, f"thumbnail-{image}.jpg")


def _guarded(response: Response, name: str) -> Response:
    """Shown in place under a name of ours, never taken for another type, nor seen by who has signed out."""
    response.headers["Content-Disposition"] = f"inline; filename={name}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-cache"
    return response

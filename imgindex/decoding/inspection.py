"""The facts of a file, from its bytes and its decoded picture. Runs in the process of `worker`."""

from imgindex.decoding import coding, metadata
from imgindex.decoding.fineness import SMALLEST, detail_and_noise, has_colour
from imgindex.decoding.picture import Picture
from imgindex.facts import Facts

_SHARP = 0.9  # of a reduced picture's pixels that show something: so it ends where it was reduced, not in itself


def facts_of(data: bytes | memoryview, picture: Picture) -> Facts:
    """The facts of a file's bytes and of the picture decoded from them."""
    kind = picture.kind
    quality = coding.jpeg_quality(data) if kind == "JPEG" else None
    share, noise = _detail_and_noise(picture, quality)
    width, height = picture.size
    return Facts(
        format=picture.format,
        frames=picture.frames,
        bits=picture.bits,
        extra=picture.extra,
        alpha=picture.alpha,
        colour=has_colour(picture.plain),
        raw=bool(picture.raw),
        quality=quality,
        subsampling=_subsampling(data, kind),
        detail=round(width * height / 1e6 * share, 4),
        noise=round(noise, 2),
        **vars(metadata.metadata_of(data, kind)),
    )


def _subsampling(data: bytes | memoryview, kind: str) -> str | None:
    if kind == "WebP" and not coding.webp_lossless(data):
        return "4:2:0"  # it has no other
    return coding.jpeg_subsampling(data) if kind == "JPEG" else None


def _detail_and_noise(picture: Picture, quality: int | None) -> tuple[float, float]:
    """Of the picture in full: a reduced one hides what its first rows may show, where there is something in them."""
    reduced = picture.reduced
    share, noise = detail_and_noise(picture.plain)
    if reduced <= 1:
        return share, noise
    if share < _SHARP:
        return share / reduced**2, noise * reduced
    if picture.top is not None:
        rows = round(len(picture.top) / reduced)
        if rows >= SMALLEST and detail_and_noise(picture.plain[:rows])[0] >= _SHARP:
            return detail_and_noise(picture.top)
    return coding.kept(quality), noise * reduced

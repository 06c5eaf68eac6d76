"""XMP's simple properties, by expat, within bounds."""

import contextlib
from collections.abc import Mapping

_PACKET = 1_000_000  # bytes that are parsed
_ELEMENTS = 20_000
_DEEP = 64  # elements within each other


def properties(packet: bytes) -> dict[str, str]:
    """XMP's simple properties by namespace and name; entities and all else that is no metadata end the reading."""
    from xml.parsers import expat

    if not packet:
        return {}
    found: dict[str, str] = {}
    open_: list[str] = []
    parser = expat.ParserCreate(namespace_separator="")

    def start(name: str, attributes: Mapping[str, str]) -> None:
        open_.append(name)
        if len(found) > _ELEMENTS or len(open_) > _DEEP:
            raise EOFError("more metadata than any program writes")
        for key, value in attributes.items():
            found.setdefault(key, value[:_PACKET])

    def text(words: str) -> None:
        if words.strip():
            for name in open_[-3:]:  # the property itself is up to two above: rdf:Seq, rdf:li
                found[name] = (found.get(name, "") + words)[:1024]

    def end(_: str) -> None:
        open_.pop()

    def doctype(*_: object) -> None:
        raise EOFError("XMP has no document type")

    parser.StartElementHandler, parser.CharacterDataHandler, parser.EndElementHandler = start, text, end
    parser.StartDoctypeDeclHandler = doctype
    with contextlib.suppress(expat.ExpatError, EOFError, ValueError, LookupError):  # what came before it counts
        parser.Parse(packet[:_PACKET].rstrip(b"\0"), False)
    return found

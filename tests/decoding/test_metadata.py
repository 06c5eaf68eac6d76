"""What cameras and programs write, true and false."""

import io
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgindex.decoding import formats
from imgindex.decoding.metadata import clean, metadata_of, moment
from imgindex.facts import Metadata

Image = pytest.importorskip("PIL.Image")
SECONDS = 1.0  # for one file's metadata, whatever it is; under 30 ms when nothing else runs


def exif_of(tags: dict[int, Any]) -> bytes:
    made = Image.Exif()
    for tag, value in tags.items():
        made[tag] = value
    return made.tobytes()


def jpeg(exif: dict[int, Any] | bytes = b"", xmp: str = "", kind: str = "JPEG") -> bytes:
    block = exif_of(exif) if isinstance(exif, dict) else exif
    options = {"exif": block} if block else {}
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, kind, **options, **({"xmp": xmp.encode()} if xmp else {}))
    return file.getvalue()


def read(data: bytes) -> Metadata:
    return metadata_of(data, formats.kind(data[: formats.HEAD]))


def packet(attributes: str = "", elements: str = "") -> str:
    return f"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"""


CAMERA = {
    0x010F: "NIKON CORPORATION",
    0x0110: "NIKON D3",
    0x0131: "Ver.1.0",
    0x4746: 4,
    0x8769: {
        0x9003: "2019:07:14 12:13:14",
        0x9291: "25",
        0x9011: "+02:00",
        0xA431: "2003456",
        0xA420: "90abcdef90abcdef90abcdef90abcdef",
    },
    0x8825: {1: "N", 2: (48.0, 30.0, 36.0), 3: "W", 4: (9.0, 15.0, 0.0)},
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_all_of_a_camera_is_read(kind: str) -> None:
    assert read(jpeg(CAMERA, kind=kind)) == Metadata(
        captured="2019-07-14T12:13:14.25+02:00",
        camera="NIKON D3",
        serial="2003456",
        unique="exif:90abcdef90abcdef90abcdef90abcdef",
        latitude=48.51,
        longitude=-9.25,
        rating=4,
        software="Ver.1.0",
    )


def test_heic_is_read() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    picture = pillow_heif.from_pillow(Image.new("RGB", (64, 64)))
    picture.info["exif"] = exif_of(CAMERA)
    picture.save(file)
    found = read(file.getvalue())
    assert (found.captured, found.serial) == ("2019-07-14T12:13:14.25+02:00", "2003456")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_xmp_is_read(kind: str) -> None:
    attributes = (
        'xmp:Rating="5" xmp:CreatorTool="darktable 4" exif:DateTimeOriginal="2018-02-03T04:05:06.78-05:00"'
        ' xmpMM:OriginalDocumentID="ABCDEF0123456789" aux:SerialNumber="71234"'
        ' exif:GPSLatitude="48,30.6N" exif:GPSLongitude="9,15,0W"'
    )
    data = jpeg(xmp=packet(attributes), kind=kind)
    if kind == "PNG":  # Pillow writes no XMP there
        body = b"XML:com.adobe.xmp\0\0\0\0\0" + packet(attributes).encode()
        data = data[:33] + struct.pack(">I4s", len(body), b"iTXt") + body + bytes(4) + data[33:]
    assert read(data) == Metadata(
        captured="2018-02-03T04:05:06.78-05:00",
        serial="71234",
        unique="original:ABCDEF0123456789",
        latitude=48.51,
        longitude=-9.25,
        rating=5,
        software="darktable 4",
    )


def test_xmp_in_elements_is_read() -> None:
    elements = "<xmp:Rating>3</xmp:Rating><photoshop:DateCreated>2001-02-03T04:05</photoshop:DateCreated>"
    found = read(jpeg(xmp=packet(elements=elements)))
    assert (found.rating, found.captured) == (3, "2001-02-03T04:05:00")


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_the_two_directories_of_a_cr3_are_read() -> None:
    first, second = (
        exif_of(tags).removeprefix(b"Exif\0\0")
        for tags in (
            {0x010F: "Canon", 0x0110: "Canon EOS R5"},
            {0x9003: "2021:02:03 04:05:06", 0xA431: "0123456"},
        )
    )
    inner = box(b"uuid", bytes(16) + box(b"CMT1", first) + box(b"CMT2", second))
    found = read(box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", inner))
    assert (found.camera, found.captured, found.serial) == ("Canon EOS R5", "2021-02-03T04:05:06", "0123456")


def test_a_burst_is_told_as_one() -> None:
    burst = b"0A1B2C3D-0000-1111-2222-333344445555\0"
    note = b"Apple iOS\0\0\x01MM\0\x01" + struct.pack(">HHII", 11, 2, len(burst), 32) + bytes(4)
    data = jpeg({0x010F: "Apple", 0x8769: {0x927C: note.ljust(32, b"\0") + burst}})
    assert read(data).unique == "burst:0A1B2C3D-0000-1111-2222-333344445555"


@pytest.mark.parametrize(
    "lie",
    [
        "1904:01:01 00:00:00", "2099:12:31 23:59:59", "0000:00:00 00:00:00", "2020:13:45 99:99:99",
        "1970:01:01 00:00:00",
        "    :  :     :  :  ", "2020:02:30 10:00:00", "now", "", "2020",
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_is_none(lie: str) -> None:
    assert moment(lie) is None
    assert read(jpeg({0x8769: {0x9003: lie}})).captured is None


def test_a_time_keeps_what_is_known_of_it() -> None:
    assert moment("2020:01:02 03:04:05") == "2020-01-02T03:04:05"
    assert moment("2020:01:02 03:04:05", subseconds="5  ") == "2020-01-02T03:04:05.5"
    assert moment("2020:01:02 03:04:05", offset="-09:30") == "2020-01-02T03:04:05-09:30"
    assert moment("2020-01-02T03:04:05Z") == "2020-01-02T03:04:05Z"
    assert moment("2020:01:02 03:04:05", offset="+99:99") == "2020-01-02T03:04:05"
    assert moment("2020:01:02 03:04:05", subseconds="\0\0x", offset="local") == "2020-01-02T03:04:05"


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (9.0, 0.0, 0.0)},
        {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)},
        {2: (48.0, 0.0, 0.0), 4: (9.0, 0.0, 0.0)},
        {1: "N", 2: (48.0, 0.0, 0.0)},
    ],
)
def test_a_place_that_cannot_be_is_none(gps: dict[int, Any]) -> None:
    found = read(jpeg({0x8825: gps}))
    assert (found.latitude, found.longitude) == (None, None)


def test_degrees_over_nothing_are_none() -> None:
    data = jpeg({0x8825: {1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (9.0, 0.0, 0.0)}})
    broken = data.replace(struct.pack(">II", 48, 1), bytes(8)).replace(struct.pack("<II", 48, 1), bytes(8))
    assert broken != data
    assert read(broken).latitude is None


def test_long_texts_and_control_characters_are_cut() -> None:
    found = read(jpeg({0x010F: "A\x1b[31m\u202e" + "x" * 50_000, 0x0131: "\x07 \x08"}))
    assert found.camera is not None
    assert found.camera.isprintable()
    assert len(found.camera) <= 64
    assert found.software is None


def test_ids_that_tell_nothing_are_none() -> None:
    found = read(jpeg({0x8769: {0xA431: "0000000", 0xA420: "0" * 32}}))
    assert (found.serial, found.unique) == (None, None)


def timed(data: bytes, kind: str = "JPEG") -> Metadata:
    start = time.process_time()
    found = metadata_of(data, kind)
    assert time.process_time() - start < SECONDS
    return found


def bomb(entries: int, kind: int, count: int, length: int) -> bytes:
    """A block of EXIF whose every entry points at the same long value."""
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", entries)
    rows = b"".join(struct.pack("<HHII", (0x1000 + n) % 65_536, kind, count, 10) for n in range(entries))
    return (head + rows + bytes(4)).ljust(length, b"\x01")


@pytest.mark.parametrize(
    "block",
    [
        bomb(65_535, 2, 10_000_000, 11_000_000),
        bomb(65_535, 5, 999, 1_000_000),
        bomb(60_000, 4, 999, 1_000_000),
        b"II*\0\x08\0\0\0" + b"".join(struct.pack("<HI", 0, 8 + 6 * (n + 1)) for n in range(100_000)),
        b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x8825, 4, 1, 8, 8),
    ],
)
def test_bombs_of_exif_end_soon(block: bytes) -> None:
    timed(block, "TIFF")
    timed(png_with(block), "PNG")


def png_with(block: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", len(block), b"eXIf") + block + bytes(4)


def test_metadata_that_cannot_be_read_is_not_taken_for_none() -> None:
    for block in (bomb(60_000, 4, 999, 1_000_000), b"II*\0\xff\xff\xff\0" + b"Acme One" * 9):
        assert read(png_with(block)).unread
    assert not any(
        read(data).unread for data in (png_with(b""), png_with(b"II*\0\x08\0\0\0" + bytes(90)), jpeg(), jpeg(CAMERA))
    )


def test_metadata_is_not_taken_for_damaged_where_there_is_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pytest.importorskip("exifread"), "process_file", lacking)
    with pytest.raises(MemoryError):
        read(jpeg(CAMERA))


def test_bombs_of_xmp_end_soon() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 20))
    entities = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x:xmpmeta xmlns:x="a">&l19;</x:xmpmeta>'
    deep = "<x:xmpmeta xmlns:x='a'>" + "<a>" * 100_000
    wide = '<x:xmpmeta xmlns:x="a">' + "".join(f"<a{n}>x</a{n}>" for n in range(60_000)) + "</x:xmpmeta>"
    for made in (entities, deep, wide):
        body = b"XML:com.adobe.xmp\0\0\0\0\0" + made.encode()
        timed(b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", len(body), b"iTXt") + body + bytes(4), "PNG")


def test_a_file_within_a_file_is_not_asked_for() -> None:
    xmp = packet('xmp:Rating="5"').replace(
        "<x:xmpmeta", '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><x:xmpmeta'
    )
    assert read(jpeg(xmp=xmp)).rating is None


whole = [jpeg(CAMERA, packet('xmp:Rating="5"'), kind) for kind in ("JPEG", "WEBP", "TIFF")] + [jpeg(CAMERA, kind="PNG")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(whole), st.lists(st.tuples(st.integers(0, 1200), st.binary(min_size=1, max_size=6)), max_size=4))
def test_damaged_metadata_never_raises_and_is_bounded(data: bytes, damage: list[tuple[int, bytes]]) -> None:
    broken = bytearray(data)
    for at, noise in damage:
        broken[at : at + len(noise)] = noise
    for kind in ("JPEG", "PNG", "WebP", "TIFF", "HEIC", ""):
        found = metadata_of(bytes(broken), kind)
        texts = (found.captured, found.camera, found.serial, found.unique, found.software)
        assert all(text is None or (len(text) <= 80 and text.isprintable()) for text in texts)
        assert found.latitude is None or -90 <= found.latitude <= 90
        assert found.rating is None or -1 <= found.rating <= 5


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_give_metadata(data: bytes) -> None:
    for kind in ("JPEG", "PNG", "WebP", "TIFF", "HEIC", "AVIF", ""):
        assert isinstance(metadata_of(data, kind), Metadata)
    for prefix in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"FUJIFILMCCD-RAW ", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"):
        assert isinstance(metadata_of(prefix + data, ""), Metadata)


@given(st.text() | st.binary())
def test_a_clean_text_is_short_and_printable(value: str | bytes) -> None:
    found = clean(value)
    assert found is None or (0 < len(found) <= 64 and found.isprintable())

"""File types told by their bytes, files that are cut off, and the parts that are made of them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcli import media
from orcli.errors import UsageError
from tests import samples

NAMES = [
    pytest.param(samples.PNG, "PNG image", id="PNG"),
    pytest.param(samples.JPEG, "JPEG image", id="JPEG"),
    pytest.param(samples.GIF, "GIF image", id="GIF89a"),
    pytest.param(b"GIF87a" + samples.GIF[6:], "GIF image", id="GIF87a"),
    pytest.param(samples.WEBP, "WebP image", id="WebP"),
    pytest.param(samples.PDF, "PDF document", id="PDF"),
    pytest.param(samples.WAV, "WAV sound", id="WAV"),
    pytest.param(samples.MP3, "MP3 sound", id="MP3"),
    *(
        pytest.param(bytes((0xFF, second)) + samples.MP3_FRAME[2:], "MP3 sound", id=f"MP3 frame, {second:#x}")
        for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)
    ),
    pytest.param(samples.FLAC, "FLAC sound", id="FLAC"),
    pytest.param(samples.OGG, "OGG sound", id="OGG"),
    pytest.param(samples.M4A, "M4A sound", id="M4A"),
    pytest.param(samples.M4A_MP42, "M4A sound", id="M4A of the brand mp42"),
    pytest.param(samples.iso(b"isom", b"soun") + samples.MP4, "MP4 video", id="MP4 with sound"),
    pytest.param(samples.MP4, "MP4 video", id="MP4"),
    pytest.param(samples.HEIC, "HEIC image", id="HEIC"),
    pytest.param(samples.AVIF, "AVIF image", id="AVIF"),
    pytest.param(samples.AVIF_MIF1, "AVIF image", id="AVIF of the brand mif1"),
    pytest.param(samples.TIFF, "TIFF image", id="TIFF"),
    pytest.param(b"MM\0*" + samples.TIFF[4:], "TIFF image", id="TIFF, big-endian"),
    pytest.param(samples.BMP, "BMP image", id="BMP"),
    pytest.param(samples.ICO, "ICO image", id="ICO"),
    pytest.param(samples.SVG, "SVG image", id="SVG"),
    pytest.param(samples.SVG_PROLOG, "SVG image", id="SVG behind a prolog"),
    pytest.param(b" \n<SVG>", "SVG image", id="SVG in capitals"),
    pytest.param(samples.AAC, "AAC sound", id="AAC"),
    pytest.param(samples.AIFF, "AIFF sound", id="AIFF"),
    pytest.param(samples.ZIP, "ZIP archive or office document", id="ZIP"),
    pytest.param(b"RIFF\x04\0\0\0CDXA", None, id="another RIFF"),
    pytest.param(b"FORM\0\0\0\x04ILBM", None, id="another FORM"),
    pytest.param(b"<html><svg>", None, id="HTML with an SVG"),
    pytest.param(b"<?xml version='1.0'?><html/>", None, id="XML"),
    pytest.param(b"<!-- unclosed <svg", None, id="SVG in a comment"),
    pytest.param("text".encode("utf-16"), None, id="UTF-16, which begins like a frame"),
    pytest.param(b"text", None, id="text"),
    pytest.param(b"", None, id="nothing"),
]


@pytest.mark.parametrize(("data", "name"), NAMES)
def test_a_type_is_told_by_the_bytes(data: bytes, name: str | None) -> None:
    kind = media.kind_of(data)

    assert (kind.name if kind else None) == name


BEGINNINGS = [parameter.values[0] for parameter in NAMES] + [b"<!--", b"<?", b"<!DOCTYPE x [", b"\xff", b"ftyp"]


@given(st.sampled_from(BEGINNINGS), st.integers(0, 600), st.binary(max_size=200))
def test_no_bytes_whatever_make_it_fail(beginning: object, length: int, rest: bytes) -> None:
    assert isinstance(beginning, bytes)
    data = beginning[:length] + rest

    kind = media.kind_of(data)

    assert kind is None or kind.phrase.startswith(("a ", "an "))
    refusal = _refusal(data)
    assert refusal.startswith("it is ") if refusal else kind is not None and kind.sendable


@pytest.mark.parametrize(
    ("whole", "name"),
    [
        pytest.param(samples.PNG, "a PNG image", id="PNG"),
        pytest.param(samples.JPEG, "a JPEG image", id="JPEG"),
        pytest.param(samples.jpeg(thumbnail=samples.JPEG), "a JPEG image", id="JPEG with a thumbnail"),
        pytest.param(samples.GIF, "a GIF image", id="GIF"),
        pytest.param(samples.WEBP, "a WebP image", id="WebP"),
    ],
)
def test_an_image_is_refused_at_every_length_but_its_whole(whole: bytes, name: str) -> None:
    recognised = next(length for length in range(len(whole)) if media.kind_of(whole[:length]))
    missed = [length for length in range(recognised, len(whole)) if _refusal(whole[:length]) is None]

    assert missed == []
    assert _refusal(whole[: len(whole) - 1]) == f"it is {name} that is cut off; fetch it or make it again"
    assert _refusal(whole) is None


def _refusal(data: bytes) -> str | None:
    try:
        media.media_kind(data, "it", "it")
    except UsageError as error:
        return error.message
    return None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(samples.PNG + b"trailing", id="PNG"),
        pytest.param(samples.JPEG + bytes(40), id="JPEG"),
        pytest.param(samples.GIF + b"\0", id="GIF"),
        pytest.param(samples.WEBP + b"\0\0", id="WebP"),
        pytest.param(samples.JPEG[:2] + b"\xff\xff\xff\x01" + samples.JPEG[2:], id="JPEG with fill bytes and TEM"),
        pytest.param(samples.JPEG[:20] + b"\xab" + samples.JPEG[20:], id="JPEG that is odd but ends"),
        pytest.param(samples.GIF[:-1] + b"!\xfe\x03abc\0;", id="GIF with a comment"),
        pytest.param(samples.GIF[:-1] + b"\x99;", id="GIF with a block unknown here"),
        pytest.param(samples.WAV[:-4], id="WAV shorter than it says, as streamed ones are"),
    ],
)
def test_what_may_be_whole_is_let_through(data: bytes) -> None:
    assert media.media_kind(data, "it", "it").sendable


def test_the_limits_are_those_of_the_providers() -> None:
    most = samples.png_of_size(media.MOST_BYTES)
    png = media.kind_of(samples.PNG)
    assert png is not None

    assert media.media_kind(most, "it", "it") == png
    assert _refusal(most + b"\0") == (
        'it is larger than 30 MB; scale it: convert it -resize 1568x1568 png:- | orcli vision "…"'
    )
    assert _refusal(samples.PDF + bytes(media.MOST_BYTES)) == "it is larger than 30 MB; send less of it"
    assert media.size_warning(png, media.WARN_BYTES, "it", "it") is None
    assert media.size_warning(png, media.WARN_BYTES + 60_000, "it", "it") == (
        "it is 5.1 MB, and some providers refuse images above 5; "
        'scale it: convert it -resize 1568x1568 png:- | orcli vision "…"'
    )
    pdf = media.kind_of(samples.PDF)
    assert pdf is not None
    assert media.size_warning(pdf, media.WARN_BYTES + 60_000, "it", "it") is None


@given(st.binary(max_size=300))
def test_base64_is_shortened_to_its_beginning_and_its_size(data: bytes) -> None:
    encoded = base64.b64encode(data).decode()
    expected = encoded if len(encoded) <= 16 else f"{encoded[:16]}… ({len(data)} bytes)"
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}", "detail": "low"}}
    sound = {"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}
    document = {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{encoded}"}}
    text = {"type": "text", "text": f"data:image/png;base64,{encoded}"}
    messages = [{"role": "user", "content": [text, image, sound, document]}, {"role": "user", "content": encoded}]

    assert media.shortened(messages) == [
        {
            "role": "user",
            "content": [
                text,
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{expected}", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": expected, "format": "wav"}},
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{expected}"},
                },
            ],
        },
        {"role": "user", "content": encoded},
    ]


@pytest.mark.parametrize(
    ("url", "data"),
    [
        pytest.param("data:image/png;base64,AAEC", b"\0\1\2", id="base64"),
        pytest.param("data:image/png;base64,AA EC\n", b"\0\1\2", id="base64 on lines"),
        pytest.param("data:image/png;base64,AAE", None, id="cut base64"),
        pytest.param("data:image/png;base64,A*EC", None, id="no base64"),
        pytest.param("data:image/png;base64,äAEC", None, id="no ASCII"),
        pytest.param("data:image/png;base64,", None, id="nothing"),
        pytest.param("data:image/png,AAEC", None, id="not said to be base64"),
        pytest.param("data:", None, id="no data"),
    ],
)
def test_an_images_bytes_come_from_a_data_url(url: str, data: bytes | None) -> None:
    assert media.image_bytes(url) == data


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (samples.PNG, "png"),
        (samples.JPEG, "jpg"),
        (samples.WEBP, "webp"),
        (samples.GIF, "gif"),
        (samples.AVIF, "avif"),
        (samples.SVG, "svg"),
        (samples.WAV, "bin"),
        (samples.UNKNOWN, "bin"),
    ],
)
def test_an_extension_goes_by_the_bytes(data: bytes, suffix: str) -> None:
    assert media.suffix_of(data) == suffix

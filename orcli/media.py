"""What kind of file some bytes are, told by those bytes and never by a name, and the content part they become. Pure."""

from __future__ import annotations

from base64 import b64decode
from codecs import getincrementaldecoder
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orcli.errors import UsageError

Part = dict[str, Any]
"""One part of a message's `content`."""

WARN_BYTES = 5_000_000
"""An image above it is refused by some providers (Anthropic: 5 MB)."""
MOST_BYTES = 30_000_000
"""What is above it is refused by OpenRouter: 413, "Downloaded image content cannot exceed 30MB"."""
DETAILS = ("low", "high", "auto")
TAKEN = "PNG, JPEG, WebP and GIF images, PDF, and WAV, MP3, FLAC, OGG and M4A sound"
_TEXT_BYTES = 4096
_SHORT = 16


@dataclass(frozen=True)
class Kind:
    """A file type: its name for people, its MIME type, and whether `vision` sends it."""

    name: str
    mime: str
    sendable: bool = False

    @property
    def phrase(self) -> str:
        """The name with its article."""
        article = "an" if self.name[0] in "AEIOU" or self.name.startswith(("MP", "M4A", "SVG")) else "a"
        return f"{article} {self.name}"

    @property
    def is_image(self) -> bool:
        """It is a picture, sendable or not."""
        return self.mime.startswith("image/")


_M4A = Kind("M4A sound", "audio/mp4", True)
_HEIC = Kind("HEIC image", "image/heic")
_AVIF = Kind("AVIF image", "image/avif")
_MP3 = Kind("MP3 sound", "audio/mpeg", True)
_AAC = Kind("AAC sound", "audio/aac")
_SVG = Kind("SVG image", "image/svg+xml")

# Signatures at offset 0, each from the format's own specification.
_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", Kind("PNG image", "image/png", True)),
    (b"\xff\xd8\xff", Kind("JPEG image", "image/jpeg", True)),
    (b"GIF87a", Kind("GIF image", "image/gif", True)),
    (b"GIF89a", Kind("GIF image", "image/gif", True)),
    (b"%PDF-", Kind("PDF document", "application/pdf", True)),
    (b"fLaC", Kind("FLAC sound", "audio/flac", True)),
    (b"OggS", Kind("OGG sound", "audio/ogg", True)),
    (b"ID3", _MP3),
    # An MPEG audio frame of layer III: version 1, 2 or 2.5, with or without a checksum.
    *((bytes((0xFF, second)), _MP3) for second in (0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2)),
    *((bytes((0xFF, second)), _AAC) for second in (0xF1, 0xF0, 0xF9, 0xF8)),
    (b"II*\x00", Kind("TIFF image", "image/tiff")),
    (b"MM\x00*", Kind("TIFF image", "image/tiff")),
    (b"BM", Kind("BMP image", "image/bmp")),
    (b"\x00\x00\x01\x00", Kind("ICO image", "image/x-icon")),
    (b"PK\x03\x04", Kind("ZIP archive or office document", "application/zip")),
    (b"\x1f\x8b", Kind("gzip file", "application/gzip")),
    (b"BZh", Kind("bzip2 file", "application/x-bzip2")),
    (b"\xfd7zXZ\x00", Kind("xz file", "application/x-xz")),
    (b"(\xb5/\xfd", Kind("zstd file", "application/zstd")),
    (b"\x1aE\xdf\xa3", Kind("WebM or Matroska video", "video/webm")),
    (b"\x7fELF", Kind("ELF program", "application/x-elf")),
    (b"SQLite format 3\x00", Kind("SQLite database", "application/vnd.sqlite3")),
)
_RIFF = {
    b"WEBP": Kind("WebP image", "image/webp", True),
    b"WAVE": Kind("WAV sound", "audio/wav", True),
    b"AVI ": Kind("AVI video", "video/x-msvideo"),
}
_ISO_BRANDS = {
    **dict.fromkeys((b"M4A ", b"M4B "), _M4A),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), _HEIC),
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
}
_SOUND_FORMATS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
}
_SUFFIXES = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/svg+xml": "svg",
}


def kind_of(data: bytes) -> Kind | None:
    """Name the type of a file from its bytes; None when no signature matches.

    The first 32 bytes are enough but for an SVG, and for an M4A sound under a general brand of MP4.
    """
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return Kind("AIFF sound", "audio/aiff")
    if data[4:8] == b"ftyp":
        return _iso_kind(data)
    kind = next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)
    return _SVG if kind is None and _is_svg(data) else kind


def _iso_kind(data: bytes) -> Kind:
    """Tell the files of ISO 14496-12 apart by their brand, and a general one by its tracks' handlers."""
    kind = _ISO_BRANDS.get(data[8:12], Kind("MP4 video", "video/mp4"))
    if kind is _HEIC and any(brand in data[16:32] for brand in (b"avif", b"avis")):
        return _AVIF
    handler = b"hdlr" + bytes(8)
    if kind.mime == "video/mp4" and handler + b"soun" in data and handler + b"vide" not in data:
        return _M4A
    return kind


def _is_svg(data: bytes) -> bool:
    """Tell text whose first element is svg, behind a prolog, comments and a document type."""
    rest = data[:_TEXT_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    while rest.startswith((b"<?", b"<!")):
        end = b"-->" if rest.startswith(b"<!--") else b">"
        rest = rest.partition(end)[2].lstrip(b" \t\r\n]>")
    return rest[:4].lower() == b"<svg"


def media_kind(data: bytes, name: str, argument: str) -> Kind:
    """Tell the type of what `vision` is to send; UsageError says what it is instead, and what to run for that.

    `name` is the file's for people, `argument` as a shell takes it, `-` for standard input.
    """
    kind = kind_of(data)
    if kind is None:
        if not _is_text(data):
            raise UsageError(f"{name} is no file of a known type; vision takes {TAKEN}")
        run = '… | orcli ask "…"' if argument == "-" else f'orcli ask "…" {argument}'
        raise UsageError(f"{name} is text; send it with: {run}")
    if not kind.sendable:
        raise UsageError(f"{name} is {kind.phrase}; {_way_to_send(kind, argument)}")
    if len(data) > MOST_BYTES:
        raise UsageError(f"{name} is larger than {MOST_BYTES // 1_000_000} MB; {_way_to_shrink(kind, argument)}")
    whole = _WHOLE.get(kind.mime)
    if whole is not None and not whole(data):
        raise UsageError(f"{name} is {kind.phrase} that is cut off; fetch it or make it again")
    return kind


def size_warning(kind: Kind, size: int, name: str, argument: str) -> str | None:
    """Warn of an image that some providers refuse."""
    if not kind.is_image or size <= WARN_BYTES:
        return None
    return f"{name} is {size / 1e6:.1f} MB, and some providers refuse images above 5; {_way_to_shrink(kind, argument)}"


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in getincrementaldecoder("utf-8")().decode(data[:_TEXT_BYTES])
    except UnicodeDecodeError:
        return False


def _way_to_send(kind: Kind, argument: str) -> str:
    if kind.is_image:
        return f'convert it: convert {argument} png:- | orcli vision "…"'
    if kind.mime.startswith("audio/"):
        return f'convert it: ffmpeg -i {argument} -f mp3 - | orcli vision "…"'
    return f"vision takes {TAKEN}"


def _way_to_shrink(kind: Kind, argument: str) -> str:
    if kind.is_image:
        return f'scale it: convert {argument} -resize 1568x1568 png:- | orcli vision "…"'
    return "send less of it"


def _png_whole(data: bytes) -> bool:
    """Tell whether the chunks reach IEND (PNG 3, section 5)."""
    position = 8
    while position + 12 <= len(data):
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


def _jpeg_whole(data: bytes) -> bool:
    """Tell whether an end of image follows the first scan, which a thumbnail's own end does not (T.81, annex B)."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xDA:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return data.find(b"\xff\xd9", position) >= 0


def _gif_whole(data: bytes) -> bool:
    """Tell whether the blocks reach the trailer (GIF89a, appendix B); what is no block is left to others to judge."""
    if len(data) < 13:
        return False
    position = 13 + _color_table(data[10])
    while position < len(data):
        block = data[position]
        if block == 0x2C and position + 10 <= len(data):
            position += 11 + _color_table(data[position + 9])
        elif block == 0x21:
            position += 2
        else:
            return block != 0x2C
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    return False


def _color_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp_whole(data: bytes) -> bool:
    """Tell whether there is as much as the RIFF header declares, and a chunk at all."""
    return len(data) >= max(8 + int.from_bytes(data[4:8], "little"), 20)


_WHOLE = {
    "image/png": _png_whole,
    "image/jpeg": _jpeg_whole,
    "image/gif": _gif_whole,
    "image/webp": _webp_whole,
}


def text_part(text: str) -> Part:
    """Give the part that is text."""
    return {"type": "text", "text": text}


def media_part(kind: Kind, encoded: str, filename: str, detail: str | None) -> Part:
    """Give the part that carries base64: `image_url`, `file` for a PDF, `input_audio` for sound."""
    if kind.mime in _SOUND_FORMATS:
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": _SOUND_FORMATS[kind.mime]}}
    url = f"data:{kind.mime};base64,{encoded}"
    return _image_part(url, detail) if kind.is_image else _file_part(url, filename)


def is_url(name: str) -> bool:
    """Tell an address that the provider fetches from a path."""
    return name[:8].lower().startswith(("http://", "https://"))


def url_part(url: str, detail: str | None) -> Part:
    """Give the part that names an address; a path that ends in .pdf is a document's, sound must be sent whole."""
    try:
        address = urlsplit(url)
        filename = address.path.rpartition("/")[2]
        whole = bool(address.hostname) and url.isprintable() and " " not in url
    except ValueError:
        whole = False
    if not whole:
        raise UsageError(f"{url} is no whole URL; check it, or give a path")
    suffix = filename.rpartition(".")[2].lower()
    if suffix in _SOUND_FORMATS.values():
        raise UsageError(f'{url} is sound, which goes by its bytes alone; curl -s URL | orcli vision "…"')
    return _file_part(url, filename) if suffix == "pdf" else _image_part(url, detail)


def _image_part(url: str, detail: str | None) -> Part:
    return {"type": "image_url", "image_url": {"url": url, **({} if detail is None else {"detail": detail})}}


def _file_part(file_data: str, filename: str) -> Part:
    return {"type": "file", "file": {"filename": filename, "file_data": file_data}}


def shortened(value: Any) -> Any:
    """Copy messages with the base64 in their parts cut to its beginning and the size of what it stands for."""
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    short = {key: shortened(item) for key, item in value.items()}
    for key in ("url", "file_data", "data"):
        text = short.get(key)
        if isinstance(text, str) and (key == "data" or text.startswith("data:")):
            head, comma, encoded = text.rpartition(",")
            if len(encoded) > _SHORT:
                size = len(encoded) * 3 // 4 - encoded[-2:].count("=")
                short[key] = f"{head}{comma}{encoded[:_SHORT]}… ({size} bytes)"
    return short


def image_bytes(url: str) -> bytes | None:
    """Give the bytes of a base64 `data:` URL; None when it is broken or empty."""
    head, _, encoded = url.partition(",")
    try:
        return b64decode("".join(encoded.split()), validate=True) or None if head.endswith(";base64") else None
    except ValueError:
        return None


def suffix_of(data: bytes) -> str:
    """Give the file name extension that fits some image's bytes, `bin` for an unknown one."""
    kind = kind_of(data)
    return _SUFFIXES.get(kind.mime, "bin") if kind else "bin"

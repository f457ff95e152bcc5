"""Small whole files of every type that `vision` knows, made by hand from their specifications."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Final


def png(width: int = 1, height: int = 1, padding: bytes = b"") -> bytes:
    """Make a grey PNG; `padding` goes into a chunk that readers skip."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x80" * width) * height)
    extra = chunk(b"paDd", padding) if padding else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def png_of_size(size: int) -> bytes:
    """Make a PNG of exactly so many bytes."""
    return png(padding=b"\xa5" * (size - len(png()) - 12))


def _segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg(thumbnail: bytes = b"") -> bytes:
    """Make a grey JPEG of one pixel; `thumbnail` goes into its APP1 segment."""
    return (
        b"\xff\xd8"
        + _segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
        + (_segment(0xE1, b"Exif\0\0" + thumbnail) if thumbnail else b"")
        + _segment(0xDB, b"\0" + b"\x01" * 64)
        + _segment(0xC0, struct.pack(">BHHBBBB", 8, 1, 1, 1, 1, 0x11, 0))
        + _segment(0xC4, b"\x00\x01" + bytes(15) + b"\0")
        + _segment(0xC4, b"\x10\x01" + bytes(15) + b"\0")
        + _segment(0xDA, b"\x01\x01\0\0\x3f\0")
        + b"\x3f\xff\xd9"
    )


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data


def iso(brand: bytes, handler: bytes = b"", compatible: bytes = b"isom") -> bytes:
    """Make a file of ISO 14496-12 with one track's handler."""
    track = _box(b"trak", _box(b"mdia", _box(b"hdlr", bytes(8) + handler + bytes(13)))) if handler else b""
    return _box(b"ftyp", brand + bytes(4) + compatible) + _box(b"moov", track) + _box(b"mdat", b"\xde\xad\xbe\xef")


_SAMPLES = b"".join(struct.pack("<h", value) for value in (0, 9000, 0, -9000) * 4)

PNG: Final = png()
JPEG: Final = jpeg()
GIF: Final = bytes.fromhex("474946383961010001008000000000 00ffffff 2c00000000010001000002024401003b")
WEBP: Final = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
PDF: Final = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
WAV: Final = (
    b"RIFF" + struct.pack("<I", 36 + len(_SAMPLES)) + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack("<I", len(_SAMPLES)) + _SAMPLES
)  # fmt: skip
MP3_FRAME: Final = b"\xff\xfb\x90\x64" + bytes(413)
MP3: Final = b"ID3\x04\0\0\0\0\0\0" + MP3_FRAME
FLAC: Final = b"fLaC\x80\0\0\x22" + struct.pack(">HH", 4096, 4096) + bytes(30)
OGG: Final = b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0"
M4A: Final = iso(b"M4A ", b"soun")
M4A_MP42: Final = iso(b"mp42", b"soun")

HEIC: Final = iso(b"heic", b"pict", b"mif1heic")
AVIF: Final = iso(b"avif", b"pict", b"mif1avif")
AVIF_MIF1: Final = iso(b"mif1", b"pict", b"mif1avif")
MP4: Final = iso(b"isom", b"vide")
TIFF: Final = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
BMP: Final = (
    b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0" + struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0) + bytes(4)
)
ICO: Final = b"\0\0\x01\0\x01\0\x01\x01\0\0\x01\0\x20\0" + struct.pack("<II", len(PNG), 22) + PNG
SVG: Final = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'
SVG_PROLOG: Final = (
    b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a <svg> -->\n'
    b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x" [\n<!ENTITY a "b">\n]>\n' + SVG
)
AAC: Final = b"\xff\xf1\x50\x80\x01\x3f\xfc\0"
AIFF: Final = b"FORM\0\0\0\x1eAIFFCOMM" + bytes(22)
ZIP: Final = b"PK\x03\x04\x14\0" + bytes(24)
UNKNOWN: Final = b"\x93\x01\xfe\0\xff\x80"

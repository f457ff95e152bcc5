"""What kind of file some bytes are, told by their first bytes and never by a name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A file type: its name for people, its MIME type, and whether `vision` sends it."""

    name: str
    mime: str
    sendable: bool = False


# Signatures at offset 0, each from the format's own specification.
_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", Kind("PNG image", "image/png", True)),
    (b"\xff\xd8\xff", Kind("JPEG image", "image/jpeg", True)),
    (b"GIF87a", Kind("GIF image", "image/gif", True)),
    (b"GIF89a", Kind("GIF image", "image/gif", True)),
    (b"%PDF-", Kind("PDF document", "application/pdf", True)),
    (b"fLaC", Kind("FLAC sound", "audio/flac", True)),
    (b"OggS", Kind("OGG sound", "audio/ogg", True)),
    (b"ID3", Kind("MP3 sound", "audio/mpeg", True)),
    (b"\xff\xfb", Kind("MP3 sound", "audio/mpeg", True)),
    (b"\xff\xf3", Kind("MP3 sound", "audio/mpeg", True)),
    (b"\xff\xf2", Kind("MP3 sound", "audio/mpeg", True)),
    (b"II*\x00", Kind("TIFF image", "image/tiff")),
    (b"MM\x00*", Kind("TIFF image", "image/tiff")),
    (b"BM", Kind("BMP image", "image/bmp")),
    (b"\x00\x00\x01\x00", Kind("ICO image", "image/x-icon")),
    (b"PK\x03\x04", Kind("ZIP archive or office document", "application/zip")),
    (b"\x1f\x8b", Kind("gzip file", "application/gzip")),
    (b"BZh", Kind("bzip2 file", "application/x-bzip2")),
    (b"\xfd7zXZ\x00", Kind("xz file", "application/x-xz")),
    (b"(\xb5/\xfd", Kind("zstd file", "application/zstd")),
    (b"\x7fELF", Kind("ELF program", "application/x-elf")),
    (b"SQLite format 3\x00", Kind("SQLite database", "application/vnd.sqlite3")),
)
_RIFF = {
    b"WEBP": Kind("WebP image", "image/webp", True),
    b"WAVE": Kind("WAV sound", "audio/wav", True),
    b"AVI ": Kind("AVI video", "video/x-msvideo"),
}
_ISO_BRANDS = {
    b"M4A ": Kind("M4A sound", "audio/mp4", True),
    b"M4B ": Kind("M4A sound", "audio/mp4", True),
    b"heic": Kind("HEIC image", "image/heic"),
    b"heix": Kind("HEIC image", "image/heic"),
    b"mif1": Kind("HEIC image", "image/heic"),
    b"avif": Kind("AVIF image", "image/avif"),
}


def kind_of(data: bytes) -> Kind | None:
    """Name the type of a file from its bytes (the first 32 are enough); None when no signature matches."""
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _ISO_BRANDS.get(data[8:12], Kind("MP4 video", "video/mp4"))
    return next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)

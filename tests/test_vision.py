"""`orcli vision`: what the server receives for every type and path form, what is refused, and the answer's images."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from orcli.media import MOST_BYTES
from tests import samples
from tests.command import Argument, Orcli
from tests.openrouter import (
    OpenRouter,
    Pause,
    Request,
    chunk,
    completion,
    error,
    error_chunk,
    hang,
    raw,
    stream,
    text_stream,
)

TAKEN = "vision takes PNG, JPEG, WebP and GIF images, PDF, and WAV, MP3, FLAC, OGG and M4A sound"
NO_INPUT = "give a path or URL, or pipe an image in"
NOT_READ = "no IMAGE, and standard input is not read for it; give one, or ask without: orcli ask"
NO_PROMPT = "no PROMPT; give one, and then the image: orcli vision 'question' photo.png"
LOCAL = "local/smollm2 takes no images; use a model of OpenRouter, such as -m openrouter/auto"
EMPTY_STDIN = "standard input is empty, so there is nothing to send; check the command before the pipe"


def image(data: bytes, mime: str = "image/png", **more: str) -> dict[str, Any]:
    """Build the part that an image is sent as."""
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{encoded(data)}", **more}}


def document(data: bytes, filename: str) -> dict[str, Any]:
    """Build the part that a PDF is sent as."""
    file_data = f"data:application/pdf;base64,{encoded(data)}"
    return {"type": "file", "file": {"filename": filename, "file_data": file_data}}


def sound(data: bytes, format: str) -> dict[str, Any]:
    """Build the part that a sound is sent as."""
    return {"type": "input_audio", "input_audio": {"data": encoded(data), "format": format}}


def encoded(data: bytes) -> str:
    """Encode as base64."""
    return base64.b64encode(data).decode()


def text(words: str) -> dict[str, Any]:
    """Build the part that the prompt is sent as."""
    return {"type": "text", "text": words}


def user_turn(request: Request) -> Any:
    """Give the content of the only message of a request."""
    (message,) = request.json["messages"]
    assert message["role"] == "user"
    return message["content"]


def received(part: dict[str, Any]) -> bytes:
    """Decode what a part carries, strictly."""
    carried: str = part[part["type"]].get("url") or part[part["type"]].get("file_data") or part[part["type"]]["data"]
    return base64.b64decode(carried.rpartition(",")[2], validate=True)


def drawn(*urls: str) -> dict[str, Any]:
    """Build the member of a message, or of a delta, that carries generated images."""
    images = [{"type": "image_url", "image_url": {"url": url}, "index": index} for index, url in enumerate(urls)]
    return {"images": images}


def data_url(data: bytes, mime: str = "image/png") -> str:
    """Build a `data:` URL."""
    return f"data:{mime};base64,{encoded(data)}"


TYPES = [
    pytest.param("a.png", samples.PNG, image(samples.PNG), id="PNG"),
    pytest.param("a.jpg", samples.JPEG, image(samples.JPEG, "image/jpeg"), id="JPEG"),
    pytest.param("a.webp", samples.WEBP, image(samples.WEBP, "image/webp"), id="WebP"),
    pytest.param("a.gif", samples.GIF, image(samples.GIF, "image/gif"), id="GIF"),
    pytest.param("a.jpg", samples.PNG, image(samples.PNG), id="PNG that is named .jpg"),
    pytest.param("a.pdf", samples.PDF, document(samples.PDF, "a.pdf"), id="PDF"),
    pytest.param("a.wav", samples.WAV, sound(samples.WAV, "wav"), id="WAV"),
    pytest.param("a.mp3", samples.MP3, sound(samples.MP3, "mp3"), id="MP3"),
    pytest.param("a.mp3", samples.MP3_FRAME, sound(samples.MP3_FRAME, "mp3"), id="MP3 without a tag"),
    pytest.param("a.flac", samples.FLAC, sound(samples.FLAC, "flac"), id="FLAC"),
    pytest.param("a.ogg", samples.OGG, sound(samples.OGG, "ogg"), id="OGG"),
    pytest.param("a.m4a", samples.M4A, sound(samples.M4A, "m4a"), id="M4A"),
    pytest.param("a.m4a", samples.M4A_MP42, sound(samples.M4A_MP42, "m4a"), id="M4A of the brand mp42"),
]


class TestInput:
    """PROMPT and IMAGEs."""

    @pytest.mark.parametrize(("name", "data", "part"), TYPES)
    def test_every_type_arrives_byte_for_byte_as_the_part_the_protocol_has_for_it(
        self, orcli: Orcli, openrouter: OpenRouter, name: str, data: bytes, part: dict[str, Any]
    ) -> None:
        path = orcli.file(f"dir/{name}", data)

        result = orcli("vision", "What is this?", path.relative_to(orcli.work))

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        assert user_turn(openrouter.requests[0]) == [text("What is this?"), part]
        assert received(user_turn(openrouter.requests[0])[1]) == path.read_bytes()

    @pytest.mark.parametrize(("name", "data", "part"), TYPES)
    def test_every_type_comes_through_standard_input_too(
        self, orcli: Orcli, openrouter: OpenRouter, name: str, data: bytes, part: dict[str, Any]
    ) -> None:
        result = orcli("vision", "What is this?", stdin=data)

        expected = document(data, "document.pdf") if part["type"] == "file" else part
        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        assert user_turn(openrouter.requests[0]) == [text("What is this?"), expected]

    @pytest.mark.parametrize(
        "script",
        [
            "orcli vision hi a.png",
            "orcli vision hi ./a.png",
            'orcli vision hi "$PWD/a.png"',
            "orcli vision hi link.png",
            "orcli vision hi 'a b.png'",
            "orcli vision hi $'new\\nline.png'",
            "orcli vision hi $'latin-\\xe9.png'",
            "orcli vision hi -- -dash.png",
            "orcli vision -- hi -dash.png",
            "orcli vision hi ./-dash.png",
            "orcli vision hi - < a.png",
            "orcli vision hi < a.png",
            "cat a.png | orcli vision hi",
            "cat a.png | orcli vision hi -",
            "orcli vision hi /dev/stdin < a.png",
            "orcli vision hi <(cat a.png)",
            "mkfifo pipe; cat a.png > pipe & orcli vision hi pipe",
            "echo hi | orcli vision - a.png",
            "orcli vision hi a.png < /dev/zero",
            "orcli vision -n hi a.png < other.png",
            "orcli vision hi a.png <&-",
        ],
    )
    def test_every_way_to_give_an_image_sends_the_same(self, orcli: Orcli, openrouter: OpenRouter, script: str) -> None:
        for name in (b"a.png", b"a b.png", b"new\nline.png", b"latin-\xe9.png", b"-dash.png"):
            (orcli.work / os.fsdecode(name)).write_bytes(samples.PNG)
        orcli.file("other.png", samples.GIF)
        (orcli.work / "link.png").symlink_to("a.png")

        result = orcli.shell(script)

        prompt = "hi\n" if script.startswith("echo") else "hi"
        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        assert user_turn(openrouter.requests[0]) == [text(prompt), image(samples.PNG)]

    def test_text_comes_first_and_images_in_the_order_given(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("a.png", samples.PNG)
        orcli.file("b.gif", samples.GIF)
        url = "HTTPS://Example.com/ü.jpg?x=1&y=%20#f"

        result = orcli("vision", "hi", "b.gif", url, "-", "a.png", "b.gif", stdin=samples.WEBP)

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        assert user_turn(openrouter.requests[0]) == [
            text("hi"),
            image(samples.GIF, "image/gif"),
            {"type": "image_url", "image_url": {"url": url}},
            image(samples.WEBP, "image/webp"),
            image(samples.PNG),
            image(samples.GIF, "image/gif"),
        ]

    def test_a_url_is_sent_and_never_fetched(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        url = f"http://127.0.0.1:{openrouter.port}/photo.png"

        result = orcli("vision", "hi", url)

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        assert user_turn(openrouter.requests[0]) == [text("hi"), {"type": "image_url", "image_url": {"url": url}}]
        assert len(openrouter.requests) == 1

    @pytest.mark.parametrize("url", ["https://example.com/dir/Report.PDF?v=2", "http://example.com/Report.PDF"])
    def test_a_pdfs_url_is_a_file_part(self, orcli: Orcli, openrouter: OpenRouter, url: str) -> None:
        result = orcli("vision", "hi", url)

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        part = {"type": "file", "file": {"filename": "Report.PDF", "file_data": url}}
        assert user_turn(openrouter.requests[0]) == [text("hi"), part]

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            (
                "https://example.com/a.MP3?x",
                'https://example.com/a.MP3?x is sound, which goes by its bytes alone; curl -s URL | orcli vision "…"',
            ),
            ("https://", "https:// is no whole URL; check it, or give a path"),
            ("http://[::1/a.png", "http://[::1/a.png is no whole URL; check it, or give a path"),
            ("https://example.com/a b.png", "https://example.com/a b.png is no whole URL; check it, or give a path"),
            (b"https://example.com/\xff", "IMAGE is not UTF-8: byte 0xff at offset 20; convert it with iconv"),
            (
                "data:image/png;base64,AAEC",
                "no such file: data:image/png;base64,AAEC; check the path",
            ),
        ],
    )
    def test_an_address_that_cannot_be_sent_is_a_usage_error(
        self, orcli: Orcli, openrouter: OpenRouter, url: Argument, message: str
    ) -> None:
        result = orcli("vision", "hi", url)

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
        assert openrouter.requests == []

    @pytest.mark.parametrize(
        ("name", "data", "message"),
        [
            ("a.heic", samples.HEIC, 'a HEIC image; convert it: convert a.heic png:- | orcli vision "…"'),
            ("a.avif", samples.AVIF, 'an AVIF image; convert it: convert a.avif png:- | orcli vision "…"'),
            ("a b.tif", samples.TIFF, "a TIFF image; convert it: convert 'a b.tif' png:- | orcli vision \"…\""),
            ("-.bmp", samples.BMP, 'a BMP image; convert it: convert ./-.bmp png:- | orcli vision "…"'),
            ("a.ico", samples.ICO, 'an ICO image; convert it: convert a.ico png:- | orcli vision "…"'),
            ("a.svg", samples.SVG, 'an SVG image; convert it: convert a.svg png:- | orcli vision "…"'),
            ("a.png", samples.SVG_PROLOG, 'an SVG image; convert it: convert a.png png:- | orcli vision "…"'),
            ("a.aac", samples.AAC, 'an AAC sound; convert it: ffmpeg -i a.aac -f mp3 - | orcli vision "…"'),
            ("a.aiff", samples.AIFF, 'an AIFF sound; convert it: ffmpeg -i a.aiff -f mp3 - | orcli vision "…"'),
            ("a.mp4", samples.MP4, f"an MP4 video; {TAKEN}"),
            ("a.docx", samples.ZIP, f"a ZIP archive or office document; {TAKEN}"),
            ("a.bin", samples.UNKNOWN, f"no file of a known type; {TAKEN}"),
            ("a.png", b"<html>404 Not Found</html>\n", 'text; send it with: orcli ask "…" a.png'),
            ("a.txt", "grün\n".encode(), 'text; send it with: orcli ask "…" a.txt'),
            ("a.png", b"", "empty, so there is nothing to send; leave it out or check what wrote it"),
            ("a.png", b" \n\t\n", "empty, so there is nothing to send; leave it out or check what wrote it"),
            ("a.png", samples.PNG[:8], "a PNG image that is cut off; fetch it or make it again"),
            ("a.png", samples.PNG[:-1], "a PNG image that is cut off; fetch it or make it again"),
            ("a.jpg", samples.JPEG[:-2], "a JPEG image that is cut off; fetch it or make it again"),
            ("a.gif", samples.GIF[:-1], "a GIF image that is cut off; fetch it or make it again"),
            ("a.webp", samples.WEBP[:-1], "a WebP image that is cut off; fetch it or make it again"),
        ],
    )
    def test_a_bad_file_is_named_with_its_type_and_what_to_run(
        self, orcli: Orcli, openrouter: OpenRouter, name: str, data: bytes, message: str
    ) -> None:
        orcli.file(name, data)
        orcli.file("good.png", samples.PNG)

        result = orcli("vision", "hi", "good.png", "--", name)

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {name} is {message}\n")
        assert openrouter.requests == []

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (samples.HEIC, 'standard input is a HEIC image; convert it: convert - png:- | orcli vision "…"'),
            (b"Sold out.\n", 'standard input is text; send it with: … | orcli ask "…"'),
            (samples.PNG[:40], "standard input is a PNG image that is cut off; fetch it or make it again"),
            (samples.UNKNOWN, f"standard input is no file of a known type; {TAKEN}"),
            (b"", EMPTY_STDIN),
            (b"\n", EMPTY_STDIN),
        ],
    )
    @pytest.mark.parametrize("arguments", [["hi"], ["hi", "-"]])
    def test_bad_standard_input_is_refused_likewise(
        self, orcli: Orcli, openrouter: OpenRouter, arguments: list[str], data: bytes, message: str
    ) -> None:
        result = orcli("vision", *arguments, stdin=data)

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {message}\n")
        assert openrouter.requests == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], NO_PROMPT),
            (["--json"], NO_PROMPT),
            (["", "a.png"], "PROMPT is empty; give it text or leave it out"),
            (["  ", "a.png"], "PROMPT is empty; give it text or leave it out"),
            (
                ["a.png"],
                "PROMPT is the name of a file; put the question before it: orcli vision 'question' a.png",
            ),
            (
                ["-n", "a b.png", "What is this?"],
                "PROMPT is the name of a file; put the question before it: orcli vision 'question' 'a b.png'",
            ),
            (["hi"], f"no IMAGE, and standard input is no pipe or file; {NO_INPUT}"),
            (["-n", "hi"], NOT_READ),
            (["--", "-"], NOT_READ),
            (["--", "-", "-"], "standard input can be read only once; give `-` in one place"),
            (["hi", "-", "--messages", "-"], "standard input can be read only once; give `-` in one place"),
            (["-n", "hi", "-"], "-n and `-` contradict each other; leave one out"),
            (["hi", ""], "no such file: ''; check the path"),
            (["hi", "gone.png", "a.png"], "no such file: gone.png; check the path"),
            (["hi", "there"], "no such file: there; if these words are one prompt, quote it: 'hi there'"),
            (["hi", "dir"], "cannot read dir: Is a directory; check the path"),
            (["hi", "loop.png"], "cannot read loop.png: Too many levels of symbolic links; check the path"),
            (["hi", "a.png", "--detail", "HIGH"], "--detail 'HIGH' is none of low, high, auto; use one of them"),
            (["hi", "a.pdf", "--detail", "low"], "--detail has no effect without an image; leave it out"),
            (["hi", "a.png", "--short"], "--short has no effect without --dry-run; add it, or leave this out"),
            (
                ["hi", "a.png", "--idle-timeout", "1"],
                "--idle-timeout has no effect without --stream; add it, or leave this out",
            ),
            (["hi", "a.png", "--save", "a.png"], "cannot make the directory a.png: File exists; check --save"),
            (["hi", "a.png", "--save", ""], "cannot make the directory : No such file or directory; check --save"),
            (["hi", "a.png", "-m", "local/smollm2"], LOCAL),
            (["hi", "gone.png", "-m", "a/b", "-m", "local/smollm2"], LOCAL),
        ],
    )
    def test_a_wrong_command_line_is_one_line_and_sends_nothing(
        self, orcli: Orcli, openrouter: OpenRouter, arguments: list[str], message: str
    ) -> None:
        orcli.file("a.png", samples.PNG)
        orcli.file("a b.png", samples.PNG)
        orcli.file("a.pdf", samples.PDF)
        (orcli.work / "dir").mkdir()
        (orcli.work / "loop.png").symlink_to("loop.png")

        result = orcli("vision", *arguments)

        said = {"error": {"code": "usage", "message": message}}
        assert result.stdout == (json.dumps(said, separators=(",", ":")) + "\n" if "--json" in arguments else "")
        assert (result.code, result.stderr) == (2, f"orcli: {message}\n")
        assert openrouter.requests == []

    def test_standard_input_that_an_option_reads_is_no_image(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        result = orcli("vision", "hi", "--system-file", "-", stdin="Be brief.")

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {NOT_READ}\n")
        assert openrouter.requests == []

    def test_a_local_model_is_refused_before_standard_input_is_read(self, orcli: Orcli) -> None:
        process = orcli.start("vision", "hi", stdin="pipe", env={"ORCLI_MODEL": "local/smollm2"})

        assert process.wait_exit()
        result = process.finish()
        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {LOCAL}\n")

    def test_a_terminal_is_no_image(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        result = orcli.terminal("vision", "hi", stdout_tty=False, stderr_tty=False).finish()

        message = f"orcli: no IMAGE, and standard input is a terminal; {NO_INPUT}\n"
        assert (result.code, result.stdout, result.stderr) == (2, "", message)
        assert openrouter.requests == []

    def test_a_silent_standard_input_is_said_to_be_awaited(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        process = orcli.start("vision", "hi", stdin="pipe")
        process.wait_stderr("orcli: waiting for stdin (use -n or </dev/null)\n")
        process.write_stdin(samples.PNG)

        result = process.finish()

        assert (result.code, result.stdout) == (0, "Hello.\n")
        assert result.stderr == "orcli: waiting for stdin (use -n or </dev/null)\n"
        assert user_turn(openrouter.requests[0]) == [text("hi"), image(samples.PNG)]

    def test_messages_carry_the_conversation_with_or_without_more(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        earlier = [{"role": "user", "content": [text("Look."), image(samples.GIF, "image/gif")]}]
        orcli.file("talk.json", json.dumps(earlier))
        orcli.file("a.png", samples.PNG)
        more: list[list[str]] = [[], ["Well?"], ["And this?", "a.png"]]

        results = [orcli("vision", "--messages", "talk.json", *arguments, stdin="unread") for arguments in more]

        assert [(result.code, result.stdout, result.stderr) for result in results] == [(0, "Hello.\n", "")] * 3
        assert [request.json["messages"] for request in openrouter.requests] == [
            earlier,
            [*earlier, {"role": "user", "content": "Well?"}],
            [*earlier, {"role": "user", "content": [text("And this?"), image(samples.PNG)]}],
        ]

    def test_a_loop_keeps_its_standard_input(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        for name in ("1.png", "2.png", "3.png"):
            orcli.file(name, samples.PNG)

        result = orcli.shell('printf \'%s\\n\' *.png | while read -r f; do orcli vision "$f?" "$f"; done')

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n" * 3, "")
        prompts = [user_turn(request)[0]["text"] for request in openrouter.requests]
        assert prompts == ["1.png?", "2.png?", "3.png?"]


class TestSize:
    """Big images: warned of, refused, and what they cost."""

    def test_above_5_mb_there_is_one_warning_an_image(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        big = orcli.file("big one.png", samples.png_of_size(5_000_001))
        orcli.file("fits.png", samples.png_of_size(5_000_000))

        result = orcli("vision", "hi", "big one.png", "fits.png")
        quiet = orcli("vision", "-q", "hi", "big one.png")

        assert (result.code, result.stdout) == (0, "Hello.\n")
        assert result.stderr == (
            "orcli: warning: big one.png is 5.0 MB, and some providers refuse images above 5; "
            "scale it: convert 'big one.png' -resize 1568x1568 png:- | orcli vision \"…\"\n"
        )
        assert received(user_turn(openrouter.requests[0])[1]) == big.read_bytes()
        assert (quiet.code, quiet.stdout, quiet.stderr) == (0, "Hello.\n", "")

    def test_above_30_mb_it_is_refused_with_the_fix(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("huge.png", samples.png_of_size(MOST_BYTES + 1))
        advice = '-resize 1568x1568 png:- | orcli vision "…"\n'

        by_path = orcli("vision", "hi", "huge.png")
        by_stdin = orcli.shell("orcli vision hi < huge.png")

        assert (by_path.code, by_path.stdout) == (2, "")
        assert by_path.stderr == f"orcli: huge.png is larger than 30 MB; scale it: convert huge.png {advice}"
        assert (by_stdin.code, by_stdin.stdout) == (2, "")
        assert by_stdin.stderr == f"orcli: standard input is larger than 30 MB; scale it: convert - {advice}"
        assert openrouter.requests == []

    @pytest.mark.parametrize(
        ("script", "name", "message"),
        [
            ("orcli vision hi /dev/zero", "/dev/zero", f"is no file of a known type; {TAKEN}"),
            ("orcli vision hi - < /dev/zero", "standard input", f"is no file of a known type; {TAKEN}"),
            ("yes | orcli vision hi", "standard input", 'is text; send it with: … | orcli ask "…"'),
            ("orcli vision hi <(cat a.pdf /dev/zero)", "/dev/fd/63", "is larger than 30 MB; send less of it"),
        ],
    )
    def test_what_has_no_end_is_not_read_to_it(
        self, orcli: Orcli, openrouter: OpenRouter, script: str, name: str, message: str
    ) -> None:
        orcli.file("a.pdf", samples.PDF)

        result = orcli.shell(script.replace("yes |", "set +o pipefail; yes 2>/dev/null |"))

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {name} {message}\n")
        assert openrouter.requests == []


class TestRequest:
    """The request options, which are those of `ask`."""

    def test_detail_is_in_every_image_and_nowhere_else(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("a.png", samples.PNG)
        orcli.file("a.pdf", samples.PDF)
        url = "https://example.com/a.png"

        for detail in ("low", "high", "auto"):
            result = orcli("vision", "--detail", detail, "hi", "a.png", "a.pdf", url)
            assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")

        for request, detail in zip(openrouter.requests, ("low", "high", "auto"), strict=True):
            assert user_turn(request) == [
                text("hi"),
                image(samples.PNG, detail=detail),
                document(samples.PDF, "a.pdf"),
                {"type": "image_url", "image_url": {"url": url, "detail": detail}},
            ]

    def test_options_come_after_images_too_and_make_the_same_body_as_in_ask(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        orcli.file("a.pdf", samples.PDF)
        options = ["-m", "a/b", "-m", "c/d:free", "-s", "Be brief.", "--max-tokens", "9", "--temperature", "0"]

        result = orcli(
            "vision", "hi", "a.pdf", *options, "-p", 'plugins=[{"id":"file-parser"}]', "-p", "provider.zdr=true"
        )

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        assert openrouter.requests[0].json == {
            "model": "a/b",
            "models": ["c/d:free"],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [text("hi"), document(samples.PDF, "a.pdf")]},
            ],
            "plugins": [{"id": "file-parser"}],
            "provider": {"zdr": True},
            "max_tokens": 9,
            "temperature": 0.0,
        }

    @pytest.mark.parametrize("size", [70, 3_000_000])
    def test_a_dry_run_prints_the_very_bytes_that_are_sent(
        self, orcli: Orcli, openrouter: OpenRouter, size: int
    ) -> None:
        orcli.file("a.png", samples.png_of_size(size) if size > 100 else samples.PNG)
        arguments = ["vision", 'He said "grün" \\', "a.png", "https://example.com/a.png"]

        printed = orcli(*arguments, "--dry-run", env={"OPENROUTER_API_KEY": None})
        sent = orcli(*arguments)

        assert (printed.code, printed.stderr) == (0, "")
        assert (sent.code, sent.stdout, sent.stderr) == (0, "Hello.\n", "")
        assert printed.stdout_bytes == openrouter.requests[0].body + b"\n"
        assert len(openrouter.requests) == 1

    @pytest.mark.parametrize("mark", ["\ue000long\ue001", "\ue000long", '"\ue000long\ue001"'])
    def test_a_prompt_that_looks_like_the_encoders_own_mark_stays_as_it_is(
        self, orcli: Orcli, openrouter: OpenRouter, mark: str
    ) -> None:
        path = orcli.file("a.png", samples.png_of_size(2_000_000))

        result = orcli("vision", f"a{mark}b", "a.png", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        assert user_turn(openrouter.requests[0]) == [text(f"a{mark}b"), *[image(path.read_bytes())] * 2]

    def test_short_shortens_what_a_dry_run_prints(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("a.png", samples.PNG)
        orcli.file("a.pdf", samples.PDF)
        orcli.file("a.wav", samples.WAV)
        url = "https://example.com/a.png"

        result = orcli("vision", "--dry-run", "--short", "-m", "a/b", "hi", "a.png", "a.pdf", "a.wav", url)

        assert (result.code, result.stderr) == (0, "")
        assert result.stdout == (
            '{"model":"a/b","messages":[{"role":"user","content":[{"type":"text","text":"hi"},'
            '{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAAN… '
            f'({len(samples.PNG)} bytes)"}}}},'
            '{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0xLjQKMSAw… '
            f'({len(samples.PDF)} bytes)"}}}},'
            f'{{"type":"input_audio","input_audio":{{"data":"{encoded(samples.WAV)[:16]}… '
            f'({len(samples.WAV)} bytes)","format":"wav"}}}},'
            f'{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]}}\n'
        )
        assert openrouter.requests == []

    def test_a_conversation_keeps_the_turn_with_its_parts(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("a.png", samples.PNG)
        openrouter.reply(completion("A dot."), completion("Grey."))

        first = orcli("vision", "-c", "talk.jsonl", "What is it?", "a.png")
        second = orcli("ask", "-c", "talk.jsonl", "What colour?")

        turn = {"role": "user", "content": [text("What is it?"), image(samples.PNG)]}
        turns = [
            turn,
            {"role": "assistant", "content": "A dot."},
            {"role": "user", "content": "What colour?"},
            {"role": "assistant", "content": "Grey."},
        ]
        assert [(run.code, run.stdout, run.stderr) for run in (first, second)] == [
            (0, "A dot.\n", ""),
            (0, "Grey.\n", ""),
        ]
        assert openrouter.requests[1].json["messages"] == turns[:3]
        lines = (orcli.work / "talk.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == turns

    def test_json_prints_the_completion_as_it_came(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("a.png", samples.PNG)
        reply = completion("A dot.", message=drawn(data_url(samples.PNG)))
        openrouter.reply(reply)

        result = orcli("vision", "--json", "hi", "a.png")

        assert (result.code, result.stdout_bytes, result.stderr) == (0, reply.body + b"\n", "")

    def test_a_screenshot_becomes_json_for_jq(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("screenshot.png", samples.PNG)
        schema = '{"type":"object","properties":{"total":{"type":"number"}},"required":["total"]}'
        openrouter.reply(completion('{"total": 12.5}'), completion('{"sum": 12.5}'))
        script = f"orcli vision --schema '{schema}' 'The total on this receipt' screenshot.png | jq .total"

        right, wrong = orcli.shell(script), orcli.shell(script)

        assert (right.code, right.stdout, right.stderr) == (0, "12.5\n", "")
        assert (wrong.code, wrong.stdout) == (7, "null\n")
        assert wrong.stderr == (
            'orcli: the answer does not satisfy --schema: "total" is a required property; try again, or another model\n'
        )
        assert openrouter.requests[0].json["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": json.loads(schema)},
        }

    def test_x_prints_only_the_code_block(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("a.png", samples.PNG)
        openrouter.reply(completion("Here:\n```html\n<p>\n```\nThat is it."))

        result = orcli("vision", "-x", "As HTML", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "<p>\n", "")

    def test_a_model_without_vision_is_the_providers_word_and_exit_2(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        orcli.file("a.png", samples.PNG)
        openrouter.reply(error(404, "No endpoints found that support image input"))

        result = orcli("vision", "hi", "a.png")

        assert (result.code, result.stdout) == (2, "")
        assert result.stderr == (
            "orcli: 404: No endpoints found that support image input; "
            "check the model id and what it supports (orcli models)\n"
        )

    def test_the_log_names_the_command(self, orcli: Orcli) -> None:
        orcli.file("a.png", samples.PNG)

        result = orcli("vision", "--log", "log", "hi", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "Hello.\n", "")
        record = json.loads((orcli.work / "log").read_text())
        assert (record["command"], record["exit_code"]) == ("vision", 0)


class TestPipelines:
    """Lines as people type them."""

    def test_find_and_xargs_caption_four_at_a_time(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        pictures = {f"dir {width}/shot\n{width}.png": samples.png(width) for width in range(1, 7)}
        for name, data in pictures.items():
            orcli.file(name, data)
        together = threading.Barrier(4)

        def caption(request: Request) -> Any:
            content = user_turn(request)
            assert content[0] == text("One-line caption")
            width = list(pictures.values()).index(received(content[1])) + 1
            if width <= 4:
                together.wait(20)
            return completion(f"{width} wide")

        openrouter.reply(*[caption] * 6)

        result = orcli.shell(
            "find . -name '*.png' -print0 | sort -z | xargs -0 -n1 -P4 orcli vision \"One-line caption\" -n"
        )

        assert sorted(result.stdout.splitlines()) == [f"{width} wide" for width in range(1, 7)]
        assert (result.code, result.stderr) == (0, "")

    def test_curl_pipes_a_picture_in(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(raw(body=samples.JPEG, content_type="image/jpeg"), completion("A dot."))

        result = orcli.shell(f'curl -s http://127.0.0.1:{openrouter.port}/a.jpg | orcli vision "What is this?"')

        assert (result.code, result.stdout, result.stderr) == (0, "A dot.\n", "")
        assert user_turn(openrouter.requests[1]) == [text("What is this?"), image(samples.JPEG, "image/jpeg")]

    def test_a_curl_that_fails_bills_nothing(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(error(404, "Not Found"))

        result = orcli.shell(f'curl -sf http://127.0.0.1:{openrouter.port}/a.jpg | orcli vision "What is this?"')

        assert (result.code, result.stdout, result.stderr) == (2, "", f"orcli: {EMPTY_STDIN}\n")
        assert len(openrouter.requests) == 1

    def test_ask_says_which_command_takes_an_image(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("a.png", samples.PNG)

        result = orcli("ask", "hi", "a.png")

        assert (result.code, result.stdout) == (2, "")
        assert result.stderr == "orcli: a.png is a PNG image; send it with: orcli vision\n"
        assert openrouter.requests == []


class TestStream:
    """`--stream`, under the rules of `orcli stream`."""

    @pytest.fixture(autouse=True)
    def _picture(self, orcli: Orcli) -> None:
        orcli.file("a.png", samples.PNG)

    def test_text_is_printed_as_it_arrives(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        go_on = threading.Event()
        start, rest = text_stream("A", " dot.")[:2], text_stream("A", " dot.")[2:]
        openrouter.reply(stream(*start, Pause(go_on), *rest))
        process = orcli.start("vision", "--stream", "hi", "a.png")

        assert process.read_stdout(1) == b"A"
        go_on.set()
        result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (0, "A dot.\n", "")
        assert openrouter.requests[0].json["stream"] is True
        assert user_turn(openrouter.requests[0]) == [text("hi"), image(samples.PNG)]

    def test_a_stream_that_stalls_is_incomplete(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("A"), Pause()))

        result = orcli("vision", "--stream", "--idle-timeout", "0.3", "hi", "a.png")

        assert (result.code, result.stdout) == (5, "A\n")
        assert result.stderr == (
            "orcli: the answer broke off: nothing came for longer than --idle-timeout; try again\n"
        )

    def test_images_of_a_stream_are_kept_too(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(
            stream(
                chunk("Here"),
                chunk("", delta=drawn(data_url(samples.PNG))),
                chunk("", delta=drawn(data_url(samples.GIF, "image/gif"))),
                *text_stream("."),
            )
        )

        result = orcli("vision", "--stream", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "Here.\nout/orcli-1.png\nout/orcli-1.gif\n", "")
        assert (orcli.work / "out/orcli-1.png").read_bytes() == samples.PNG
        assert (orcli.work / "out/orcli-1.gif").read_bytes() == samples.GIF

    def test_json_prints_the_chunks(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        chunks = [chunk("", delta=drawn(data_url(samples.PNG))), chunk("", finish_reason="stop")]
        openrouter.reply(stream(*chunks))

        result = orcli("vision", "--stream", "--json", "hi", "a.png")

        assert [json.loads(line) for line in result.stdout.splitlines()] == chunks
        assert (result.code, result.stderr) == (0, "")

    def test_after_an_image_an_error_is_not_tried_again(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("", delta=drawn(data_url(samples.PNG))), error_chunk(502, "Bad gateway")))

        result = orcli("vision", "--stream", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout) == (5, "out/orcli-1.png\n")
        assert result.stderr == "orcli: the answer broke off: Bad gateway; try again\n"
        assert len(openrouter.requests) == 1


class TestImages:
    """Images that the model made."""

    @pytest.fixture(autouse=True)
    def _picture(self, orcli: Orcli) -> None:
        orcli.file("a.png", samples.PNG)

    @pytest.mark.parametrize(
        ("urls", "line"),
        [
            ([data_url(samples.PNG)], "orcli: the answer has 1 image; --save DIR keeps it\n"),
            ([data_url(samples.PNG)] * 2, "orcli: the answer has 2 images; --save DIR keeps them\n"),
            (["https://x.test/1.png"], "orcli: an image of the answer is at https://x.test/1.png\n"),
            (
                [data_url(samples.PNG), "https://x.test/1.png"],
                "orcli: an image of the answer is at https://x.test/1.png\n"
                "orcli: the answer has 1 image; --save DIR keeps it\n",
            ),
        ],
    )
    @pytest.mark.parametrize("said", ["Here.", None])
    def test_without_save_stderr_says_that_they_are_there(
        self, orcli: Orcli, openrouter: OpenRouter, urls: list[str], line: str, said: str | None
    ) -> None:
        openrouter.reply(completion(said, message=drawn(*urls)))

        result = orcli("vision", "hi", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "Here.\n" if said else "", line)
        assert [path.name for path in orcli.work.iterdir()] == ["a.png"]

    def test_a_stream_says_it_as_well(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("", delta=drawn(data_url(samples.PNG))), *text_stream("Here.")))

        result = orcli("vision", "--stream", "hi", "a.png")

        assert (result.code, result.stdout) == (0, "Here.\n")
        assert result.stderr == "orcli: the answer has 1 image; --save DIR keeps it\n"

    def test_save_stores_them_by_their_types_and_prints_their_paths(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        made = {
            "orcli-1.png": samples.PNG,
            "orcli-1.jpg": samples.JPEG,
            "orcli-1.webp": samples.WEBP,
            "orcli-1.gif": samples.GIF,
            "orcli-1.bin": samples.UNKNOWN,
            "orcli-2.png": samples.png(2),
        }
        openrouter.reply(completion("Here.", message=drawn(*(data_url(data) for data in made.values()))))

        result = orcli.shell("umask 027; orcli vision --save new/dir hi a.png")

        assert (result.code, result.stderr) == (0, "")
        assert result.stdout == "Here.\n" + "".join(f"new/dir/{name}\n" for name in made)
        assert {path.name: path.read_bytes() for path in (orcli.work / "new/dir").iterdir()} == made
        assert {path.stat().st_mode & 0o777 for path in (orcli.work / "new/dir").iterdir()} == {0o600}

    def test_save_never_writes_over_a_file_nor_through_a_link(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        orcli.file("orcli-1.png", "mine")
        (orcli.work / "orcli-2.png").symlink_to("elsewhere")
        openrouter.reply(completion(None, message=drawn(data_url(samples.PNG))))

        result = orcli("vision", "--save", ".", "hi", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "./orcli-3.png\n", "")
        assert (orcli.work / "orcli-1.png").read_text() == "mine"
        assert not (orcli.work / "elsewhere").exists()
        assert (orcli.work / "orcli-3.png").read_bytes() == samples.PNG

    def test_runs_at_the_same_time_share_a_directory(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.default = completion(None, message=drawn(data_url(samples.PNG)))

        result = orcli.shell("seq 8 | xargs -n1 -P4 sh -c 'orcli vision --save out hi a.png'")

        assert sorted(result.stdout.splitlines()) == [f"out/orcli-{number}.png" for number in range(1, 9)]
        assert (result.code, result.stderr) == (0, "")

    @pytest.mark.parametrize("url", ["https://x.test/1.png", " https://x.test/\n1.png"])
    def test_save_prints_an_address_as_it_is(self, orcli: Orcli, openrouter: OpenRouter, url: str) -> None:
        openrouter.reply(completion(None, message=drawn(url, data_url(samples.PNG))))

        result = orcli("vision", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "https://x.test/1.png\nout/orcli-1.png\n", "")

    def test_half_a_surrogate_pair_in_an_address_does_no_harm(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        reply = completion(None, message=drawn("https://x.test/half"))
        openrouter.reply(raw(body=reply.body.replace(b"half", rb"\ud83d")))

        result = orcli("vision", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "https://x.test/\N{REPLACEMENT CHARACTER}\n", "")

    def test_a_broken_image_is_incomplete_and_the_others_are_kept(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(completion("Here.", message=drawn("data:image/png;base64,AAE", data_url(samples.PNG))))

        result = orcli("vision", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout) == (5, "Here.\nout/orcli-1.png\n")
        assert result.stderr == "orcli: 1 of the answer's images came broken; try again\n"

    @pytest.mark.parametrize("images", ["none", [], [None, {}, {"image_url": {}}, {"image_url": {"url": 1}}]])
    def test_what_is_no_image_is_none(self, orcli: Orcli, openrouter: OpenRouter, images: object) -> None:
        openrouter.reply(completion("Here.", message={"images": images}))

        result = orcli("vision", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout, result.stderr) == (0, "Here.\n", "")

    def test_images_of_an_answer_that_fails_are_kept(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        message = drawn(data_url(samples.PNG))
        openrouter.reply(completion("He", finish_reason="length", message=message), completion("[]", message=message))

        cut = orcli("vision", "--save", "out", "hi", "a.png")
        off = orcli("vision", "--save", "out", "--schema", '{"type":"object"}', "hi", "a.png")

        assert (cut.code, cut.stdout) == (5, "He\nout/orcli-1.png\n")
        assert cut.stderr == (
            "orcli: the answer was cut at the token limit (finish_reason length); raise --max-tokens\n"
        )
        assert (off.code, off.stdout) == (7, "[]\nout/orcli-2.png\n")

    @pytest.mark.parametrize("said", ["Here.", None])
    @pytest.mark.parametrize(("end", "codes"), [("| head -c 2", (0, 141)), ("> /dev/full", (1,))])
    @pytest.mark.parametrize("options", ["", "--json", "--stream"])
    def test_all_images_are_kept_whatever_becomes_of_stdout(
        self, orcli: Orcli, openrouter: OpenRouter, options: str, end: str, codes: tuple[int, ...], said: str | None
    ) -> None:
        message = drawn(*[data_url(samples.png_of_size(500_000))] * 6)
        openrouter.reply(
            stream(chunk("", delta=message), *text_stream(said or "", ""))
            if options == "--stream"
            else completion(said, message=message)
        )

        result = orcli.shell(f"orcli vision -n {options} --save out draw {end}; exit ${{PIPESTATUS[0]}}")

        assert result.code in codes
        assert [path.stat().st_size for path in (orcli.work / "out").iterdir()] == [500_000] * 6

    def test_what_a_stream_brought_is_kept_when_a_signal_ends_it(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("", delta=drawn(data_url(samples.PNG))), chunk("Here"), Pause()))
        process = orcli.start("vision", "--stream", "--save", "out", "hi", "a.png")
        assert process.read_stdout(4) == b"Here"

        process.send_signal(signal.SIGTERM)

        result = process.finish()
        assert (result.code, result.stdout, result.stderr) == (-signal.SIGTERM, "Here", "")
        assert (orcli.work / "out/orcli-1.png").read_bytes() == samples.PNG

    def test_what_a_stream_brought_is_kept_and_told_at_the_deadline(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(stream(chunk("Here"), chunk("", delta=drawn(data_url(samples.PNG))), Pause()))

        result = orcli("vision", "--stream", "--timeout", "2", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout) == (124, "Here\nout/orcli-1.png\n")
        assert (orcli.work / "out/orcli-1.png").read_bytes() == samples.PNG

    def test_under_json_the_paths_go_to_stderr(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        reply = completion("Here.", message=drawn(data_url(samples.PNG)))
        openrouter.reply(reply)

        result = orcli("vision", "--json", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout_bytes) == (0, reply.body + b"\n")
        assert result.stderr == "orcli: an image of the answer is at out/orcli-1.png\n"

    def test_an_image_that_does_not_fit_on_the_disk_is_exit_1_and_leaves_nothing(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        openrouter.reply(completion("Here.", message=drawn(data_url(samples.png(padding=bytes(4000))))))

        # Python would take a bytecode file that the limit cuts for a whole one, and fail in every later run.
        limited = {"PYTHONDONTWRITEBYTECODE": "1"}
        result = orcli.shell("ulimit -f 1; orcli vision --save out hi a.png", env=limited)

        assert (result.code, result.stdout) == (1, "Here.\n")
        assert (
            result.stderr
            == "orcli: 1 of the answer's images is lost: cannot write to out: File too large; check --save\n"
        )
        assert list((orcli.work / "out").iterdir()) == []

    def test_one_that_does_not_fit_on_the_disk_takes_no_other_with_it(
        self, orcli: Orcli, openrouter: OpenRouter
    ) -> None:
        large, small = data_url(samples.png(padding=bytes(4000))), data_url(samples.PNG)
        message = drawn(small, large, large, small)
        openrouter.reply(completion(None, message=message), completion("He", finish_reason="length", message=message))

        limited = {"PYTHONDONTWRITEBYTECODE": "1"}
        whole = orcli.shell("ulimit -f 1; orcli vision --save whole hi a.png", env=limited)
        cut = orcli.shell("ulimit -f 1; orcli vision -q --save cut hi a.png", env=limited)

        assert (whole.code, whole.stdout) == (1, "whole/orcli-1.png\nwhole/orcli-2.png\n")
        assert (
            whole.stderr
            == "orcli: 2 of the answer's images are lost: cannot write to whole: File too large; check --save\n"
        )
        assert (cut.code, cut.stdout) == (5, "He\ncut/orcli-1.png\ncut/orcli-2.png\n")
        assert cut.stderr == (
            "orcli: 2 of the answer's images are lost: cannot write to cut: File too large; check --save\n"
            "orcli: the answer was cut at the token limit (finish_reason length); raise --max-tokens\n"
        )

    def test_n_and_save_make_an_image_from_words_alone(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(completion(None, message=drawn(data_url(samples.PNG))))

        result = orcli("vision", "-n", "--save", "out", "-p", 'modalities=["image","text"]', "A grey dot", stdin="x")

        assert (result.code, result.stdout, result.stderr) == (0, "out/orcli-1.png\n", "")
        assert user_turn(openrouter.requests[0]) == "A grey dot"

    def test_a_dry_run_makes_no_directory(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        result = orcli("vision", "--dry-run", "--save", "out", "hi", "a.png")

        assert (result.code, result.stdout_bytes[:2], result.stderr) == (0, b'{"', "")
        assert not (orcli.work / "out").exists()
        assert openrouter.requests == []


class TestEnds:
    """How a run ends that does not end well."""

    @pytest.fixture(autouse=True)
    def _picture(self, orcli: Orcli) -> None:
        orcli.file("a.png", samples.PNG)

    @pytest.mark.parametrize("arguments", [[], ["--dry-run"], ["--json"], ["--save", "out"]])
    def test_a_full_disk_is_exit_1(self, orcli: Orcli, openrouter: OpenRouter, arguments: list[str]) -> None:
        openrouter.default = completion(None, message=drawn(data_url(samples.PNG)))
        if not arguments:
            openrouter.default = completion("Hello.")
        with open("/dev/full", "wb") as full:
            result = orcli("vision", *arguments, "hi", "a.png", stdout=full)

        message = "cannot write the answer to stdout: No space left on device; the answer is not complete there"
        assert (result.code, result.stderr) == (1, f"orcli: {message}\n")

    def test_a_reader_that_goes_ends_it_by_sigpipe(self, orcli: Orcli) -> None:
        orcli.file("big.png", samples.png_of_size(4_000_000))

        result = orcli.shell('orcli vision --dry-run hi big.png | head -c 9; echo " ${PIPESTATUS[0]}"')

        assert (result.code, result.stdout, result.stderr) == (0, '{"model": 141\n', "")

    def test_ctrl_c_while_a_pipe_stays_silent_kills_silently(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        os.mkfifo(orcli.work / "pipe")
        process = orcli.start("vision", "hi", "pipe")
        with open(orcli.work / "pipe", "wb"):  # which returns once the other side is opened
            while "State:\tS" not in Path(f"/proc/{process.pid}/status").read_text():
                assert not process.wait_exit(0)

            process.send_signal(signal.SIGINT)
            result = process.finish()

        assert (result.code, result.stdout, result.stderr) == (-signal.SIGINT, "", "")
        assert openrouter.requests == []

    def test_the_deadline_covers_a_pipe_that_nobody_writes_to(self, orcli: Orcli) -> None:
        os.mkfifo(orcli.work / "pipe")

        result = orcli("vision", "--timeout", "0.3", "hi", "pipe")

        assert (result.code, result.stdout) == (124, "")
        assert result.stderr == "orcli: the deadline has passed; raise --timeout (ORCLI_TIMEOUT), 0 is none\n"

    def test_a_signal_while_the_model_looks_hangs_up(self, orcli: Orcli, openrouter: OpenRouter) -> None:
        openrouter.reply(hang())
        process = orcli.start("vision", "hi", "a.png")
        request = openrouter.wait_for_request()

        process.send_signal(signal.SIGTERM)

        assert request.wait_hung_up()
        result = process.finish()
        assert (result.code, result.stdout, result.stderr) == (-signal.SIGTERM, "", "")

    def test_help_names_every_option(self, orcli: Orcli) -> None:
        result = orcli("vision", "--help")

        assert (result.code, result.stderr) == (0, "")
        assert result.stdout.startswith("Usage: orcli vision [OPTIONS] [PROMPT] [IMAGE]...\n")
        for option in ("--detail", "--save", "--short", "--stream", "--idle-timeout", "--schema", "--dry-run"):
            assert f" {option} " in result.stdout

"""A loopback OpenRouter: an HTTP/1.1 server scripted per test that records what it was sent and when it was hung up on.

Replies are values, one used per request in order of arrival; the functions below build them in the API's own shapes.
"""

from __future__ import annotations

import enum
import http
import json
import math
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
"""A JSON object."""


class Ending(enum.Enum):
    """How a reply ends before it is complete."""

    CLOSE = "close"
    RESET = "reset"


CLOSE: Final = Ending.CLOSE
RESET: Final = Ending.RESET


@dataclass(frozen=True)
class Pause:
    """A wait for the event or the seconds, whichever comes first; with neither, until the client hangs up."""

    until: threading.Event | None = None
    seconds: float | None = None


Event = Object | bytes | Pause | Ending
"""One step of a body: a chunk object, bytes as they are, a wait, or an early end."""

Part = Event | Iterable[Event]

Framing = Literal["length", "chunked", "close"]
UsageShape = Literal["repeated_finish", "empty_choices", "null_finish"]


@dataclass(frozen=True)
class Reply:
    """One answer as it crosses the wire, with the ways it goes wrong.

    `delay` comes before the status line, `header_delay` between it and the headers, `body_delay` after them, `pause`
    between the pieces that `bytes_per_write` makes. `cut_after` bytes of body the connection ends as `cut` says.
    `head` replaces the status line and headers. A reset drops bytes that the client's kernel has not taken yet: on
    loopback those beyond the first 100,000.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    parts: tuple[Part, ...] = ()
    framing: Framing = "length"
    head: bytes | None = None
    delay: Pause | None = None
    header_delay: Pause | None = None
    body_delay: Pause | None = None
    cut_after: int | None = None
    cut: Literal["close", "reset"] = "close"
    bytes_per_write: int | None = None
    pause: Pause | None = None
    gzip: bool = False

    def with_(
        self, *, headers: Mapping[str, str] | None = None, retry_after: str | None = None, **changes: Any
    ) -> Reply:
        """Copy the reply with other fields; `headers` are added, or replace those of the same name."""
        added = dict(headers or {})
        if retry_after is not None:
            added["Retry-After"] = retry_after
        return replace(self, headers=_override(self.headers, added), **changes)

    @property
    def body(self) -> bytes:
        """The whole body before compression and cuts; it must not come from an iterator."""
        return b"".join(_encoded(event) for event in _events(self.parts) if isinstance(event, (dict, bytes)))


Answer = Reply | Callable[["Request"], Reply]
"""A reply, or a function that makes one for the request."""


class Headers(Mapping[str, str]):
    """Header fields by name, in whatever case; those of the same name are joined with a comma."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            earlier = self._values.get(name.lower())
            self._values[name.lower()] = value if earlier is None else f"{earlier}, {value}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


class Request:
    """One request as it arrived, and what became of its reply.

    `hung_up` is set when the client closes while the reply is still owed, `answered` when the reply was sent to its
    intended end; a request gets at most one of the two. Times are those of `time.monotonic`.
    """

    def __init__(
        self, method: str, path: str, raw_headers: list[tuple[str, str]], body: bytes, connection: int
    ) -> None:
        self.method = method
        self.path = path
        self.raw_headers = raw_headers
        self.headers = Headers(raw_headers)
        self.body = body
        self.connection = connection
        self.arrived = time.monotonic()
        self.chunks_sent = 0
        self.answered = threading.Event()
        self.hung_up = threading.Event()
        self.hung_up_at = math.inf

    def __repr__(self) -> str:
        return f"<{self.method} {self.path}, {len(self.body)} bytes>"

    @cached_property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def wait_hung_up(self, timeout: float = 10) -> bool:
        """Wait for the client to hang up, and say whether it did."""
        return self.hung_up.wait(timeout)


GENERATION: Final = "gen-1778031306-HYzOtL7mHb6580bbee1x"
CREATED: Final = 1778031306
MODEL: Final = "openai/gpt-4o-mini"
PROVIDER: Final = "OpenAI"
COMMENT: Final = b": OPENROUTER PROCESSING\n\n"
DONE: Final = b"data: [DONE]\n\n"
USAGE: Final[Object] = {
    "prompt_tokens": 67,
    "completion_tokens": 5,
    "total_tokens": 72,
    "cost": 0.00001305,
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0, "video_tokens": 0},
    "cost_details": {
        "upstream_inference_cost": 0.00001305,
        "upstream_inference_prompt_cost": 0.00001005,
        "upstream_inference_completions_cost": 0.000003,
    },
    "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 0, "audio_tokens": 0},
}

CHAT_PATH: Final = "/api/v1/chat/completions"
MODELS_PATH: Final = "/api/v1/models"
CONTENT_TYPE_JSON: Final = "application/json"


def completion(
    text: str | None = "Hello.",
    *,
    finish_reason: str | None = "stop",
    usage: Object | None = USAGE,
    provider: str = PROVIDER,
    model: str = MODEL,
    message: Object | None = None,
    choice: Object | None = None,
    top: Object | None = None,
    headers: Mapping[str, str] | None = None,
    prefix: Part = b"",
) -> Reply:
    """Answer with a completion object; `message`, `choice` and `top` go over those levels, `prefix` before the JSON."""
    said = {"role": "assistant", "content": text, "refusal": None, "reasoning": None, **(message or {})}
    chosen = {
        "index": 0,
        "logprobs": None,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "message": said,
        **(choice or {}),
    }
    body: Object = {
        "id": GENERATION,
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "provider": provider,
        "system_fingerprint": "fp_b6580bbee1",
        "choices": [chosen],
        **({} if usage is None else {"usage": usage}),
        **(top or {}),
    }
    fields = _fields(CONTENT_TYPE_JSON, _generation_headers(provider), headers)
    return Reply(headers=fields, parts=(prefix, _json(body)))


def tool_call(id: str, name: str, arguments: str, *, index: int = 0) -> Object:
    """Build one entry of a message's `tool_calls`."""
    function = {"name": name, "arguments": arguments}
    return {"type": "function", "index": index, "id": id, "function": function}


def error(
    status: int,
    message: str = "Provider returned error",
    *,
    metadata: Object | None = None,
    code: int | str | None = None,
    user_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: Object | bytes | None = None,
) -> Reply:
    """Answer with the API's error body under that status; `code` is the status unless given, `body` replaces it all."""
    if body is None:
        body = error_body(status if code is None else code, message, metadata=metadata, user_id=user_id)
    content = body if isinstance(body, bytes) else _json(body)
    return Reply(status, _fields(CONTENT_TYPE_JSON, headers), (content,))


def error_in_200(
    code: int | str | None,
    message: str = "Provider returned error",
    *,
    metadata: Object | None = None,
    user_id: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: Object | bytes | None = None,
) -> Reply:
    """Answer with the API's error body under status 200; a `code` of None leaves it out."""
    if body is None:
        body = error_body(code, message, metadata=metadata, user_id=user_id)
    return error(200, body=body, headers=headers)


def error_body(
    code: int | str | None, message: str, *, metadata: Object | None = None, user_id: str | None = None
) -> Object:
    """Build the API's error object, without the members that are None."""
    members: Object = {"message": message, "code": code, "metadata": metadata}
    body: Object = {"error": {name: value for name, value in members.items() if value is not None}}
    return body if user_id is None else {**body, "user_id": user_id}


def html(status: int = 502, body: bytes | None = None) -> Reply:
    """Answer with a gateway's page."""
    title = f"{status} {_phrase(status)}"
    page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
    page += "<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    return raw(status, body=page.encode() if body is None else body, content_type="text/html; charset=UTF-8")


def raw(
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    content_type: str | None = CONTENT_TYPE_JSON,
) -> Reply:
    """Answer with any body."""
    return Reply(status, _fields(content_type, headers), (body,))


def verbatim(*parts: Part) -> Reply:
    """Answer with these bytes in place of HTTP, then close."""
    return Reply(parts=parts, head=b"", framing="close")


def reset() -> Reply:
    """Reset the connection before the first byte of a response."""
    return verbatim(RESET)


def hang(until: threading.Event | None = None) -> Reply:
    """Never answer; the connection is closed when the event is set, if one is given."""
    return verbatim(Pause(until))


def stream(
    *events: Part,
    done: bool = True,
    headers: Mapping[str, str] | None = None,
    content_type: str = "text/event-stream",
) -> Reply:
    """Answer with server-sent events, each one write and one HTTP chunk; an iterator is consumed as it is sent.

    An iterator that has to wait yields a `Pause`: while it runs, nobody watches the client.
    """
    fields = _fields(content_type, {"Cache-Control": "no-cache"}, _generation_headers(PROVIDER), headers)
    return Reply(headers=fields, parts=(*events, DONE) if done else events, framing="chunked")


def chunk(
    text: str | None = None,
    *,
    finish_reason: str | None = None,
    delta: Object | None = None,
    usage: Object | None = None,
    choice: Object | None = None,
    top: Object | None = None,
) -> Object:
    """Build one chunk of a stream; `delta`, `choice` and `top` go over those levels."""
    chosen = {
        "index": 0,
        "delta": {"content": text, "role": "assistant", **(delta or {})},
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        **(choice or {}),
    }
    return {
        "id": GENERATION,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": MODEL,
        "provider": PROVIDER,
        "system_fingerprint": "fp_b6580bbee1",
        "choices": [chosen],
        **({} if usage is None else {"usage": usage}),
        **(top or {}),
    }


def tool_call_delta(
    arguments: str | None = None,
    *,
    index: int | None = 0,
    id: str | None = None,
    name: str | None = None,
) -> Object:
    """Build the chunk that carries a piece of one tool call; `id` and `name` belong in the first piece only."""
    function = {"name": name, "arguments": arguments}
    call: Object = {} if index is None else {"index": index}
    if id is not None:
        call |= {"id": id, "type": "function"}
    call["function"] = {member: value for member, value in function.items() if value is not None}
    return chunk(delta={"tool_calls": [call]})


def usage_chunk(
    shape: UsageShape = "repeated_finish", *, finish_reason: str = "stop", usage: Object | None = None
) -> Object:
    """Build the last chunk, with the usage, in one of its three historical shapes."""
    counted = USAGE if usage is None else usage
    if shape == "empty_choices":
        return chunk(usage=counted, top={"choices": []})
    return chunk("", finish_reason=finish_reason if shape == "repeated_finish" else None, usage=counted)


def error_chunk(
    code: int | str | None, message: str = "Provider disconnected", *, metadata: Object | None = None, text: str = ""
) -> Object:
    """Build the chunk that reports an error in the middle of a stream."""
    body = error_body(code, message, metadata=metadata)
    return chunk(text, finish_reason="error", choice={"native_finish_reason": None}, top=body)


def text_stream(*texts: str, finish_reason: str = "stop", usage: UsageShape = "repeated_finish") -> list[Event]:
    """Build the events of a complete answer: the role, the texts, the finish, the usage."""
    return [
        chunk(""),
        *(chunk(text) for text in texts),
        chunk("", finish_reason=finish_reason),
        usage_chunk(usage, finish_reason=finish_reason),
    ]


def as_asked(request: Request) -> Reply:
    """Answer in the way that a request asks for, whole or as a stream."""
    return stream(*text_stream("Hello", ".")) if request.json.get("stream") else completion()


def model(id: str = MODEL, **members: Any) -> Object:
    """Build an entry of the list of models; `members` go over it."""
    return {
        "id": id,
        "canonical_slug": f"{id}-2024-07-18",
        "name": "OpenAI: GPT-4o-mini",
        "created": 1721260800,
        "description": "A small, fast model.",
        "context_length": 128000,
        "architecture": {
            "modality": "text+image+file->text",
            "input_modalities": ["text", "image", "file"],
            "output_modalities": ["text"],
            "tokenizer": "GPT",
            "instruct_type": None,
        },
        "pricing": {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.000000075"},
        "top_provider": {"context_length": 128000, "max_completion_tokens": 16384, "is_moderated": True},
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "response_format", "temperature", "tool_choice", "tools"],
        "default_parameters": {"temperature": None},
        "knowledge_cutoff": "2023-10-31",
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{id}/endpoints"},
        **members,
    }


class OpenRouter:
    """The server: it listens on a free port from the moment it is made until it is closed.

    An empty queue answers `GET /api/v1/models` with `models`, chat completions with `default`, all else with a 404.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.default: Answer = completion()
        self.models: list[Object] = [model()]
        self.models_per_page = 1000
        self.connections = 0
        self.allow_unused = False
        self.failures: list[BaseException] = []
        self._tls = tls
        self._replies: deque[Answer] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._open: set[_Connection] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/api/v1"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> OpenRouter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reply(self, *replies: Answer) -> None:
        """Queue replies; each answers one request."""
        with self._changed:
            self._replies.extend(replies)

    @property
    def unused(self) -> int:
        """How many queued replies no request has used."""
        return len(self._replies)

    def wait_for_request(self, n: int = 1, timeout: float = 10) -> Request:
        """Return the `n`th request as soon as it is there; TimeoutError when it does not come."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= n, timeout):
                raise TimeoutError(f"request {n} did not come within {timeout} s, only {self.requests}")
            return self.requests[n - 1]

    def close(self) -> None:
        """Drop every connection and stop listening; what still runs afterwards is a failure."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            for connection in self._open:
                connection.drop()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join()
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
            if thread.is_alive():
                self.failures.append(RuntimeError(f"{thread.name} is still making or sending a reply"))

    def _accept(self) -> None:
        while True:
            accepted, _ = self._listener.accept()
            with self._changed:
                if self._closing:
                    accepted.close()
                    return
                self.connections += 1
                try:
                    connection = _Connection(accepted, self._tls, self.connections)
                except OSError:
                    accepted.close()
                    continue
                self._open.add(connection)
                thread = threading.Thread(
                    target=self._serve, args=(connection,), name=f"connection {self.connections}", daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: _Connection) -> None:
        try:
            connection.begin()
            while (request := connection.read_request()) and self._answer(connection, request):
                pass
        except _HungUp:
            pass
        except BaseException as failure:  # noqa: BLE001 - whatever a test's own reply raises belongs to that test
            self.failures.append(failure)
            connection.reset()
        finally:
            with self._changed:
                self._open.discard(connection)
            connection.close()

    def _answer(self, connection: _Connection, request: Request) -> bool:
        with self._changed:
            self.requests.append(request)
            answer = self._replies.popleft() if self._replies else self._unscripted(request)
            self._changed.notify_all()
        reply = answer if isinstance(answer, Reply) else answer(request)
        try:
            reusable = _send(connection, request, reply)
        except _HungUp:
            if not self._closing:
                request.hung_up_at = time.monotonic()
                request.hung_up.set()
            raise
        request.answered.set()
        return reusable

    def _unscripted(self, request: Request) -> Answer:
        path = urlsplit(request.path).path
        if request.method == "GET" and path == MODELS_PATH:
            return self._models_page(request)
        if request.method == "POST" and path == CHAT_PATH:
            return self.default
        return error(404, "Not Found")

    def _models_page(self, request: Request) -> Reply:
        query = parse_qs(urlsplit(request.path).query)
        offset = int(query.get("offset", ["0"])[0])
        limit = min(int(query.get("limit", ["1000"])[0]), self.models_per_page)
        rest = offset + limit < len(self.models)
        following = f"{MODELS_PATH}?offset={offset + limit}&limit={limit}" if rest else None
        page: Object = {
            "data": self.models[offset : offset + limit],
            "total_count": len(self.models),
            "links": {"next": following},
        }
        return raw(body=_json(page), headers={"Cache-Control": "public, max-age=300"})


def self_signed(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a context for `OpenRouter(tls=…)` with openssl, and the certificate file a client has to trust."""
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    making = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*making, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


class _HungUp(Exception):
    """The client closed or reset the connection, or the server was closed."""


# Linux tells the end of a connection from data; elsewhere any input during a reply is taken for it.
_HANG_UP: Final[int] = getattr(select, "POLLRDHUP", select.POLLIN)
_EVENT_CHECK_SECONDS: Final = 0.01


class _Connection:
    """One accepted socket, watched for the client's hang-up at every wait and before every write."""

    def __init__(self, accepted: socket.socket, tls: ssl.SSLContext | None, number: int) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = accepted
        if tls:
            self._socket = tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._number = number
        self._reader = self._socket.makefile("rb")
        self._poll = select.poll()
        self._poll.register(self._socket, _HANG_UP)

    def begin(self) -> None:
        """Shake hands, where there is TLS."""
        if isinstance(self._socket, ssl.SSLSocket):
            try:
                self._socket.do_handshake()
            except OSError as cause:
                raise _HungUp from cause

    def read_request(self) -> Request | None:
        """Read one request with its body; None when the client is done, or does not speak HTTP."""
        try:
            first = self._reader.peek(1)[:1]
            if not first:
                return None
            if not first.isalpha():
                self.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return None
            method, path, _ = self._reader.readline().decode("latin-1").split()
            pairs = []
            while (line := self._reader.readline()).strip():
                name, _, value = line.decode("latin-1").partition(":")
                pairs.append((name, value.strip()))
            headers = Headers(pairs)
            if "transfer-encoding" in headers:
                raise NotImplementedError("a request body without a Content-Length")
            length = int(headers.get("content-length", "0"))
            body = self._reader.read(length)
        except OSError as cause:
            raise _HungUp from cause
        if not line or len(body) < length:
            return None
        return Request(method, path, pairs, body, self._number)

    def send(self, data: bytes) -> None:
        """Write all of it, unless the client has hung up."""
        if self._poll.poll(0):
            raise _HungUp
        try:
            self._socket.sendall(data)
        except OSError as cause:
            raise _HungUp from cause

    def wait(self, pause: Pause | None) -> None:
        """Wait as the pause says, or until the client hangs up."""
        if pause is None:
            return
        deadline = math.inf if pause.seconds is None else time.monotonic() + pause.seconds
        while not (pause.until and pause.until.is_set()) and (left := deadline - time.monotonic()) > 0:
            step = min(left, _EVENT_CHECK_SECONDS) if pause.until else left
            if self._poll.poll(None if step == math.inf else step * 1000):
                raise _HungUp

    def drop(self) -> None:
        """Wake up whatever the connection's own thread is waiting for, from another thread."""
        with suppress(OSError):
            # Not the override of SSLSocket, which takes the TLS state from under the other thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def reset(self) -> None:
        """End the connection with a RST."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """End the connection."""
        with suppress(OSError):
            self._reader.close()
        self._socket.close()


def _send(connection: _Connection, request: Request, reply: Reply) -> bool:
    """Send the reply, and say whether the connection can take another request."""
    content = _content(reply)
    fields = list(reply.headers)
    names = {name.lower() for name, _ in fields}
    if reply.gzip:
        fields.append(("Content-Encoding", "gzip"))
    if reply.framing == "chunked":
        fields.append(("Transfer-Encoding", "chunked"))
    elif reply.framing == "close":
        fields.append(("Connection", "close"))
    elif "content-length" not in names:
        known = list(content)
        fields.append(("Content-Length", str(sum(len(piece) for piece in known if isinstance(piece, bytes)))))
        content = iter(known)

    connection.wait(reply.delay)
    if reply.head is None:
        status = f"HTTP/1.1 {reply.status} {_phrase(reply.status)}\r\n".encode("latin-1")
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1") + b"\r\n"
        if reply.header_delay:
            connection.send(status)
            connection.wait(reply.header_delay)
            connection.send(lines)
        else:
            connection.send(status + lines)
    elif reply.head:
        connection.send(reply.head)
    connection.wait(reply.body_delay)

    for piece in _cut(_split(content, reply.bytes_per_write, reply.pause), reply.cut_after, Ending(reply.cut)):
        if isinstance(piece, Pause):
            connection.wait(piece)
        elif piece is RESET:
            connection.reset()
            return False
        elif piece is CLOSE:
            return False
        elif piece:
            # Counted first, so that whoever has read the piece finds it counted.
            request.chunks_sent += 1
            try:
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece) if reply.framing == "chunked" else piece)
            except _HungUp:
                request.chunks_sent -= 1
                raise
    if reply.framing == "chunked":
        connection.send(b"0\r\n\r\n")
    wishes = (Headers(fields).get("connection", ""), request.headers.get("connection", ""))
    return all(wish.lower() != "close" for wish in wishes)


_Piece = bytes | Pause | Ending


def _events(parts: Iterable[Part]) -> Iterator[Event]:
    for part in parts:
        if isinstance(part, (dict, bytes, Pause, Ending)):
            yield part
        else:
            yield from part


def _content(reply: Reply) -> Iterator[_Piece]:
    """Encode the events, each on its own, compressed where the reply says so."""
    compressor = zlib.compressobj(wbits=31) if reply.gzip else None
    for event in _events(reply.parts):
        if isinstance(event, (Pause, Ending)):
            yield event
        elif compressor:
            yield compressor.compress(_encoded(event)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        else:
            yield _encoded(event)
    if compressor:
        yield compressor.flush()


def _split(pieces: Iterable[_Piece], size: int | None, pause: Pause | None) -> Iterator[_Piece]:
    """Break the pieces into writes of at most `size` bytes with a pause between any two."""
    begun = False
    for piece in pieces:
        if size is None or not isinstance(piece, bytes):
            yield piece
            continue
        for start in range(0, len(piece), size):
            if begun and pause:
                yield pause
            begun = True
            yield piece[start : start + size]


def _cut(pieces: Iterable[_Piece], after: int | None, ending: Ending) -> Iterator[_Piece]:
    """End the pieces as `ending` says once `after` bytes have gone; ValueError when there are fewer."""
    if after is None:
        yield from pieces
        return
    left = after
    for piece in pieces:
        if isinstance(piece, bytes):
            if len(piece) >= left:
                yield piece[:left]
                yield ending
                return
            left -= len(piece)
        yield piece
    raise ValueError(f"the body ended {left} bytes before the cut after {after}")


def _encoded(event: Object | bytes) -> bytes:
    return event if isinstance(event, bytes) else b"data: " + _json(event) + b"\n\n"


def _json(value: Object) -> bytes:
    """Write JSON as the API does: compact, not escaped beyond need."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _fields(content_type: str | None, *more: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    fields: tuple[tuple[str, str], ...] = () if content_type is None else (("Content-Type", content_type),)
    for added in more:
        fields = _override(fields, added or {})
    return fields


def _override(fields: tuple[tuple[str, str], ...], added: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    names = {name.lower() for name in added}
    return (*((name, value) for name, value in fields if name.lower() not in names), *added.items())


def _generation_headers(provider: str) -> dict[str, str]:
    identifiers = {"request-id": "req_011CTmR2Zq", "cf-ray": "9a1b2c3d4e5f6789-FRA"}
    return {"X-Generation-Id": GENERATION, "X-Provider-Name": provider, **identifiers}


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"

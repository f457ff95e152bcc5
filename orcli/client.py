"""The only import of openai: a connected client whose failures are ours.

The request goes out through the client's documented `post()` with the body's bytes as they were built, and the answer
comes back as the bytes the API sent. The client's own retries are off: after a 200's headers it would post again what
was billed, and it cannot know the deadline (`retry.py` does both).
"""

from __future__ import annotations

import codecs
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit

from orcli import __version__
from orcli.config import DEFAULT_BASE_URL, Endpoint, is_host
from orcli.errors import AccountError, Incomplete, OrcliError, Unavailable, from_api, one_line
from orcli.lazy import lazy_packages
from orcli.preconnect import Preconnection, use
from orcli.process import interruptible
from orcli.sse import MOST_BYTES, TOO_LONG
from orcli.text import load_json

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI, OpenAI

CONNECT_SECONDS = 15.0
_MOST_OF_ERROR = 1 << 18
_MOST_COMPRESSED = 1 << 14
"""Bytes of the body of an error that are read, as they come; compressed they can become a thousand times as many."""
REFERER = "https://pypi.org/project/orcli/"


@dataclass(frozen=True)
class Body:
    """The body of a 200, as far as it came, and why it broke off if it did; `retry_after` is in seconds."""

    data: bytes
    broken: OrcliError | None
    retry_after: float | None


@dataclass(frozen=True)
class Response:
    """An answer whose headers have come; its body is read piece by piece."""

    response: httpx2.Response

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait, should the body turn out to be an error."""
        return _retry_after(self.response.headers)

    @property
    def content_type(self) -> str:
        """The media type and its parameters, in lower case."""
        return str(self.response.headers.get("content-type", "")).lower()

    def blocks(self) -> Iterator[bytes]:
        """Yield the body as it arrives; Unavailable, with the reason, when it breaks off."""
        import httpx2

        try:
            yield from self.response.iter_bytes()
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            raise _broken(error) from error

    def read(self) -> Body:
        """Read the whole body, or as much as comes."""
        came = _Gathered()
        try:
            for block in self.blocks():
                if not came.add(block):
                    break
        except OrcliError as error:
            came.broken = error
        return came.whole(self.retry_after)

    def close(self) -> None:
        """Hang up at once, so that the provider stops generating."""
        self.response.close()


@dataclass(frozen=True)
class Client:
    """A client connected to one endpoint."""

    openai: OpenAI
    endpoint: Endpoint

    def post(self, body: bytes) -> Response:
        """Post a chat completion request and give its response, which the caller closes.

        Raises AccountError, UsageError, Refused or Unavailable for a status that is no 200 and for a connection that
        fails; `transient` and `retry_after` are set as the server and the status say.
        """
        return Response(interruptible(lambda: self._send(body)))

    def get(self, path: str) -> Response:
        """Get a path below the base URL, or a whole URL; raises what `post` does."""
        return Response(interruptible(lambda: self._send(None, path)))

    def _send(self, body: bytes | None, path: str = "/chat/completions") -> httpx2.Response:
        import httpx2
        import openai

        try:
            # What comes back is of `cast_to`, read or not; the annotation knows only `stream_cls`.
            if body is None:
                return cast("httpx2.Response", self.openai.get(path, **_request(self.endpoint, openai.Stream)))
            request = _request(self.endpoint, openai.Stream, body)
            return cast("httpx2.Response", self.openai.post(path, **request))
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise _failure(error, self.endpoint) from error


@dataclass(frozen=True)
class AsyncClient:
    """A client connected to one endpoint, for many requests at once on one pool of connections."""

    openai: AsyncOpenAI
    endpoint: Endpoint

    async def post(self, body: bytes) -> Body:
        """Post a chat completion request and give the whole body of its 200; raises what `Client.post` does."""
        import httpx2
        import openai

        try:
            request = _request(self.endpoint, openai.AsyncStream, body)
            response = cast("httpx2.Response", await self.openai.post("/chat/completions", **request))
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
            raise _failure(error, self.endpoint) from error
        came = _Gathered()
        try:
            async for block in response.aiter_bytes():
                if not came.add(block):
                    break
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            came.broken = _broken(error)
        finally:
            await response.aclose()
        return came.whole(_retry_after(response.headers))


class _Gathered:
    """What came of a body so far, and why it broke off."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = 0
        self.broken: OrcliError | None = None

    def add(self, block: bytes) -> bool:
        """Take in a block; False, and nothing is kept, where there is more than anybody asked for."""
        self._blocks.append(block)
        self._size += len(block)
        if self._size <= MOST_BYTES:
            return True
        self._blocks.clear()
        self.broken = Incomplete(TOO_LONG)
        return False

    def whole(self, retry_after: float | None) -> Body:
        return Body(b"".join(self._blocks), self.broken, retry_after)


def _request(endpoint: Endpoint, stream_cls: Any, body: bytes | None = None) -> dict[str, Any]:
    """Give what a request is made with, so that its answer is the bytes the API sends."""
    import httpx2
    from openai import Omit

    headers: dict[str, Any] = {"x-stainless-retry-count": Omit()}
    request = {"cast_to": httpx2.Response, "options": {"headers": headers}, "stream": True}
    if not endpoint.api_key:
        headers["Authorization"] = Omit()
    if body is not None:
        headers["Content-Type"] = "application/json"
        request["content"] = body
    return {**request, "stream_cls": stream_cls[object]}


@contextmanager
def connect(endpoint: Endpoint, ready: Preconnection | None = None) -> Iterator[Client]:
    """Give a client for an endpoint; AccountError when the proxy or the CA file of the environment cannot be used.

    Its first request takes the connection that is `ready`.
    """
    _load_client()
    import httpx2
    from openai import OpenAI

    class ReticentOpenAI(_Reticent, OpenAI):
        pass

    def check(response: httpx2.Response) -> None:
        _look_over(response, endpoint)

    with _transport_errors():
        http_client = httpx2.Client(
            **_transport(endpoint),
            verify=(ready and ready.context()) or True,
            event_hooks={"response": [check]},
        )
    if ready is not None:
        # Not a documented interface: without it the client connects by itself.
        with suppress(ImportError, AttributeError, TypeError):
            use(http_client, ready)
    try:
        yield Client(ReticentOpenAI(http_client=http_client, **_identity(endpoint)), endpoint)
    finally:
        http_client.close()


@asynccontextmanager
async def connect_async(endpoint: Endpoint, connections: int) -> AsyncIterator[AsyncClient]:
    """Give a client of at most so many connections for an endpoint; raises what `connect` does."""
    _load_client()
    import httpx2
    from openai import AsyncOpenAI

    class ReticentOpenAI(_Reticent, AsyncOpenAI):
        pass

    async def check(response: httpx2.Response) -> None:
        _look_over(response, endpoint)

    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    with _transport_errors():
        http_client = httpx2.AsyncClient(**_transport(endpoint), limits=limits, event_hooks={"response": [check]})
    try:
        yield AsyncClient(ReticentOpenAI(http_client=http_client, **_identity(endpoint)), endpoint)
    finally:
        await http_client.aclose()


class _Reticent:
    """A client that says nothing of the machine: these headers are taken out, and to find them out `uname` is run."""

    def platform_headers(self) -> dict[str, str]:
        """Give none."""
        return {}


def _transport(endpoint: Endpoint) -> dict[str, Any]:
    """Give what every HTTP client of ours is made with."""
    if endpoint.use_proxies:
        _check_proxies()
    return {"follow_redirects": False, "timeout": _timeout(), "trust_env": endpoint.use_proxies}


def _timeout() -> httpx2.Timeout:
    import httpx2

    return httpx2.Timeout(None, connect=CONNECT_SECONDS)


@contextmanager
def _transport_errors() -> Iterator[None]:
    """Turn what keeps an HTTP client from being made into AccountError."""
    import httpx2

    try:
        yield
    except ImportError as error:
        raise AccountError("a SOCKS proxy needs one more package; pip install socksio") from error
    except (ValueError, OSError, httpx2.InvalidURL) as error:
        raise AccountError(
            f"cannot use the proxy or CA file of the environment: {_reason(error)}; "
            "check HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
        ) from error


def _identity(endpoint: Endpoint) -> dict[str, Any]:
    """Give what every client of ours is made with: where it goes, with which key, under orcli's name.

    Raises AccountError for a base URL that is none by the client's own rules, as for a host's name (IDNA 2008).
    """
    import httpx2
    from openai import Omit

    try:
        base_url = httpx2.URL(endpoint.base_url)
    except httpx2.InvalidURL as error:
        words = one_line(str(error), 160)
        raise AccountError(f"API_BASE_URL is no URL ({words}); it looks like {DEFAULT_BASE_URL}") from error
    return {
        "base_url": base_url,
        "api_key": endpoint.api_key or "none",
        "max_retries": 0,
        "timeout": _timeout(),
        "default_headers": {
            "User-Agent": f"orcli/{__version__}",
            "HTTP-Referer": REFERER,
            "X-OpenRouter-Title": "orcli",
            **{f"X-Stainless-{name}": Omit() for name in _STAINLESS},
        },
    }


def _check_proxies() -> None:
    """Raise ValueError for a proxy of the environment that names no host; the HTTP library would look for one.

    The library's own words for a port that is none would hold the beginning of a password with a `/` in it.
    """
    from urllib.request import getproxies

    for scheme, url in getproxies().items():
        if scheme in ("http", "https", "all"):
            parts = urlsplit(url if "://" in url else f"//{url}")
            if not is_host(parts.hostname or ""):
                raise ValueError(f"{scheme}_proxy names no host")
            if not _is_port(parts):
                raise ValueError(f"the port of {scheme}_proxy is no number")


def _is_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _load_client() -> None:
    """Import the client lazily, and where that fails for whatever reason the plain way.

    Every `OPENAI_*` variable is taken out first: the client would send some as headers, even in place of the key.
    """
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        del os.environ[name]
    try:
        with lazy_packages():
            from openai import Omit, OpenAI, Stream

            del Omit, OpenAI, Stream
    except Exception:  # noqa: BLE001  the plain way says what is wrong, if anything is
        import openai

        del openai


def _failure(error: Exception, endpoint: Endpoint) -> OrcliError:
    """Turn what the client raised in place of an answer into ours."""
    import httpx2
    import openai

    for cause in _causes(error):
        if isinstance(cause, OrcliError):
            return cause
    if isinstance(error, openai.APIStatusError):
        return _status_error(error.response, endpoint)
    if isinstance(error, openai.APIConnectionError):
        return _connection_error(error, endpoint)
    for cause in _causes(error):
        if isinstance(cause, httpx2.HTTPStatusError):
            return _status_error(cause.response, endpoint)
    return Unavailable(f"cannot reach {endpoint.host}: {_reason(error)}; try later")


def _broken(error: Exception) -> OrcliError:
    return Unavailable(f"the connection broke: {_reason(error)}; try again")


_CHARSETS = ("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252")
"""What the text of an error may be in besides."""
_STAINLESS = ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")


def _look_over(response: httpx2.Response, endpoint: Endpoint) -> None:
    """Look at a response before anything else does.

    Raises AccountError for a redirect: httpx2 2.14 fails at one to no address. Of an error no more is read than it may
    say. A charset that is none for text, such as Python's `undefined`, or that fails at bytes, is read as UTF-8, else
    whoever reads the text of an error would fail.
    """
    if response.has_redirect_location:
        raise _redirected(response, endpoint)
    if response.is_error:
        most = _MOST_COMPRESSED if "content-encoding" in response.headers else _MOST_OF_ERROR
        response.stream = _beginning(response.stream, most)
    if response.encoding is None or codecs.lookup(response.encoding).name not in _CHARSETS:
        response.encoding = "utf-8"


def _beginning(stream: Any, most: int) -> Any:
    """Give the beginning of a response's stream, which holds all that an error says."""
    import httpx2

    class Beginning(httpx2.SyncByteStream, httpx2.AsyncByteStream):
        def __init__(self) -> None:
            self.left = most

        def take(self, block: bytes) -> bytes:
            taken = block[: self.left]
            self.left -= len(taken)
            return taken

        def __iter__(self) -> Iterator[bytes]:
            for block in stream:
                yield self.take(block)
                if not self.left:
                    return

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for block in stream:
                yield self.take(block)
                if not self.left:
                    return

        def close(self) -> None:
            stream.close()

        async def aclose(self) -> None:
            await stream.aclose()

    return Beginning()


def _redirected(response: httpx2.Response, endpoint: Endpoint) -> AccountError:
    target = one_line(str(response.headers.get("location", "elsewhere")))
    return AccountError(f"{endpoint.host} redirects to {target}, which is not followed; check API_BASE_URL")


def _status_error(response: httpx2.Response, endpoint: Endpoint) -> OrcliError:
    """Turn a status that is no 200 into ours, with the provider's words or what the page says."""
    status = response.status_code
    retry_after = _retry_after(response.headers)
    if 300 <= status < 400:
        return _redirected(response, endpoint)
    failure = from_api(_error_object(response), status, retry_after)
    should_retry = str(response.headers.get("x-should-retry", ""))
    if should_retry in ("true", "false"):
        failure.transient = should_retry == "true"
    return failure


def _error_object(response: httpx2.Response) -> Mapping[str, Any]:
    """Give the error object of a response's body; of another body, its words as the message of one."""
    import httpx2

    try:
        text = response.text.strip()
    except httpx2.StreamError:
        text = ""
    try:
        value = load_json(text)
    except ValueError:
        value = None
    if isinstance(value, Mapping):
        inner = value.get("error", value)
        return inner if isinstance(inner, Mapping) else {"message": str(inner or "no message")}
    return {"message": "a gateway's page" if text.startswith("<") else one_line(text, 160) or "no message"}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, seconds or a date, or retry-after-ms, as seconds from now; None without a usable one.

    A date counts from the response's own: the clock of this machine may be wrong. What is beyond 30 years is 30 years.
    """
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            seconds = float(milliseconds) / 1000
        elif text is None:
            return None
        elif text.strip()[:1].isalpha():
            now = headers.get("date")
            seconds = _timestamp(text) - (time() if now is None else _timestamp(now))
        else:
            seconds = float(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(seconds, 1e9) if seconds > 0 else None


def _timestamp(date: str) -> float:
    return parsedate_to_datetime(date).timestamp()


def _connection_error(error: BaseException, endpoint: Endpoint) -> OrcliError:
    import httpx2

    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, httpx2.ProxyError):
            return AccountError(f"the proxy refuses: {one_line(str(cause))}; check HTTPS_PROXY and NO_PROXY")
        if isinstance(cause, (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)):
            return AccountError(
                f"cannot send to {endpoint.host}: {one_line(str(cause))}; check API_BASE_URL and the key"
            )
    certificate = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
    advice = (
        "check the clock, the CA file or a proxy that reads along" if certificate else "check the network or try later"
    )
    # A head that cannot be read may be that of an answer, which was billed.
    answered = any(
        isinstance(cause, httpx2.RemoteProtocolError) and "without sending" not in str(cause) for cause in causes
    )
    return Unavailable(
        f"cannot reach {endpoint.host}: {_reason(error)}; {advice}", transient=not (certificate or answered)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 16:
        yield error
        error = error.__cause__ or error.__context__
        seen += 1


def _reason(error: BaseException) -> str:
    """Say in the innermost words available why a connection failed."""
    for cause in reversed(list(_causes(error))):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not trusted: {cause.verify_message.rstrip('.')}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or cause}"
        if isinstance(cause, (TimeoutError, socket.timeout)):
            return "timed out"
        if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
            # An event loop puts words of its own in the place of the kernel's.
            return os.strerror(cause.errno)
        if isinstance(cause, socket.gaierror) or (isinstance(cause, OSError) and cause.strerror):
            return str(cause.strerror)
    words = [one_line(str(cause)).rstrip(".") for cause in _causes(error)]
    return next((word for word in reversed(words) if word), type(error).__name__)

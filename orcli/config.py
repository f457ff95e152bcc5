"""The environment and `.env` files as one frozen value; the only reader of the key.

The rule of trust: a key goes only where its owner sent it. A `.env` that was found in a working directory may belong to
somebody else, so a base URL from it is used only with a key from the same file.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from orcli.errors import AccountError, UsageError

DEFAULT_BASE_URL = "https://openrouter.ai/api/v1"
DEFAULT_MODEL = "openrouter/auto"
DEFAULT_SECONDS = {"ORCLI_TIMEOUT": 600.0, "ORCLI_IDLE_TIMEOUT": 120.0}
DEFAULT_RETRIES = 2
VARIABLES = (
    "API_BASE_URL",
    "OPENROUTER_API_KEY",
    "ORCLI_MODEL",
    "ORCLI_TIMEOUT",
    "ORCLI_IDLE_TIMEOUT",
    "ORCLI_RETRIES",
    "ORCLI_LOG",
)
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
_SHORTEST_KEY = 8
_MOST_BYTES = 1 << 16
"""Of a `.env`: it is read before any clock runs, and a device would never end."""
_ENVIRONMENT = "the environment"


@dataclass(frozen=True)
class Setting:
    """A value and where it came from: a file's path, or the environment."""

    value: str = field(repr=False)
    source: str
    found: bool = False
    """It stands in a `.env` that was found, not named by the user."""
    exposed: bool = False
    """It stands in a file that anyone can write to."""


@dataclass(frozen=True)
class Endpoint:
    """Where requests go, with which key, empty for none, and whether proxies of the environment apply."""

    base_url: str
    api_key: str = field(repr=False)
    use_proxies: bool = True

    @property
    def host(self) -> str:
        """The host's name, for messages."""
        return urlsplit(self.base_url).hostname or self.base_url


def load_settings(environ: Mapping[str, str], env_file: str | None) -> dict[str, Setting]:
    """Collect orcli's variables by precedence: `--env-file`, environment, nearest `.env`, the user's `.env`.

    An empty value counts as none. Raises AccountError for a file that cannot be read or does not parse.
    """
    layers: list[dict[str, Setting]] = []
    if env_file is not None:
        layers.append(_read_env_file(env_file, found=False))
    layers.append({name: Setting(environ[name], _ENVIRONMENT) for name in VARIABLES if environ.get(name)})
    nearest, own = _nearest_env_file(), _user_env_file(environ)
    if nearest is not None and not (own is not None and os.path.realpath(nearest) == os.path.realpath(own)):
        found = _read_env_file(nearest, found=True)
        found.pop("ORCLI_LOG", None)
        layers.append(found)
    if own is not None:
        layers.append(_read_env_file(own, found=False))
    return {name: layer[name] for layer in reversed(layers) for name in layer}


def _nearest_env_file() -> str | None:
    try:
        directory = os.getcwd()
    except OSError:
        return None
    while True:
        path = os.path.join(directory, ".env")
        if os.path.isfile(path):
            return path
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def _user_env_file(environ: Mapping[str, str]) -> str | None:
    directory = user_directory(environ, "XDG_CONFIG_HOME", ".config")
    path = directory and os.path.join(directory, ".env")
    return path if path and os.path.isfile(path) else None


def user_directory(environ: Mapping[str, str], variable: str, fallback: str) -> str | None:
    """Give orcli's directory below the one that a variable names, or below `fallback` at home; None without either.

    A path that is not absolute counts as none (XDG Base Directory Specification 0.8).
    """
    base = environ.get(variable, "")
    if not os.path.isabs(base):
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            return None
        base = os.path.join(home, fallback)
    return os.path.join(base, "orcli")


def _read_env_file(path: str, *, found: bool) -> dict[str, Setting]:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error.strerror) from error
    if len(data) > _MOST_BYTES:
        raise _unreadable(path, f"larger than {_MOST_BYTES >> 10} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"not UTF-8 at offset {error.start}") from None
    if b"\0" in data:
        raise _unreadable(path, f"NUL byte at offset {data.index(0)}")
    exposed = stat.S_ISREG(mode) and bool(mode & stat.S_IWOTH)
    settings: dict[str, Setting] = {}
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            blank = binding.original.string[: -len(binding.original.string.lstrip()) or None].count("\n")
            raise AccountError(f"cannot parse {path}, line {binding.original.line + blank}; mend it or move it away")
        if binding.key in VARIABLES and binding.value:
            settings[binding.key] = Setting(binding.value, path, found, exposed)
    return settings


def _unreadable(path: str, reason: str | None) -> AccountError:
    return AccountError(f"cannot read {path}: {reason}; mend it or move it away")


def secret(settings: Mapping[str, Setting]) -> str:
    """Give the key, so that it can be taken out of whatever is printed; empty without one.

    A placeholder of a few letters, as gateways on this machine take, is none: it would garble every message.
    """
    key = settings.get("OPENROUTER_API_KEY")
    return key.value if key is not None and len(key.value) >= _SHORTEST_KEY else ""


def child_environment(environ: Mapping[str, str], settings: Mapping[str, Setting]) -> dict[str, str]:
    """Give the environment that other programs run in: without any API key, nor orcli's under another name."""
    key = secret(settings)
    return {name: value for name, value in environ.items() if not (name.endswith("_API_KEY") or (key and key in value))}


def endpoint(settings: Mapping[str, Setting], *, key_needed: bool = True) -> Endpoint:
    """Give where to send requests and the key for it; AccountError when there is none, or it must not go there.

    Where no key is needed there may be none, and no `.env` that was found is refused for its lack.
    """
    key = settings.get("OPENROUTER_API_KEY")
    base = settings.get("API_BASE_URL", Setting(DEFAULT_BASE_URL, "default"))
    if fault := base_url_fault(base.value):
        raise AccountError(f"API_BASE_URL of {base.source} {fault}; it looks like {DEFAULT_BASE_URL}")
    if key is None and not key_needed:
        return Endpoint(base.value, "")
    if base.found and not _is_openrouter(base.value) and (key is None or key.source != base.source):
        raise AccountError(
            f"API_BASE_URL of {base.source} is not trusted with a key from elsewhere; "
            "set API_BASE_URL in the environment to allow it"
        )
    if key is None:
        raise AccountError("no key: OPENROUTER_API_KEY is not set; get one at https://openrouter.ai/keys")
    if fault := key_fault(key.value):
        raise AccountError(f"OPENROUTER_API_KEY of {key.source} {fault}; set it again")
    return Endpoint(base.value, key.value)


def endpoint_warnings(settings: Mapping[str, Setting]) -> list[str]:
    """Give what a user should hear about the endpoint: a found `.env` that leads elsewhere, an unencrypted way."""
    base = settings.get("API_BASE_URL", Setting(DEFAULT_BASE_URL, "default"))
    parts = urlsplit(base.value)
    warnings = []
    if base.found and not _is_openrouter(base.value):
        warnings.append(f"requests go to {parts.hostname}, as {base.source} says")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        warnings.append(f"requests and the key go to {parts.hostname} unencrypted; use https")
    for source, names in _exposed(settings).items():
        warnings.append(f"anyone can write to {source}, which sets {' and '.join(names)}; run chmod o-w on it")
    return warnings


def _exposed(settings: Mapping[str, Setting]) -> dict[str, list[str]]:
    """Give the files that anyone can write to, and what of the endpoint they decide.

    Where a `.env` that was found leads, the rule of trust decides already.
    """
    sources: dict[str, list[str]] = {}
    for name in ("OPENROUTER_API_KEY", "API_BASE_URL"):
        setting = settings.get(name)
        if setting is not None and setting.exposed and not (setting.found and name == "API_BASE_URL"):
            sources.setdefault(setting.source, []).append(name)
    return sources


def _is_openrouter(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.hostname == "openrouter.ai" and parts.port in (None, 443)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def base_url_fault(url: str) -> str | None:
    """Say what makes a base URL unusable; None when nothing does."""
    if any(character.isspace() or not character.isprintable() for character in url):
        return "holds white space or control characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is no URL ({error})"
    if parts.scheme not in ("http", "https"):
        return "is no http or https URL"
    if not is_host(parts.hostname or "") or port == 0 or ("[" in parts.netloc and ":" not in (parts.hostname or "")):
        return "names no host"
    if parts.username is not None or parts.query or parts.fragment:
        return "must not hold a user, a query or a fragment"
    return None


def is_host(name: str) -> bool:
    """Tell whether a name can be a host's: an address, or labels of 1 to 63 letters, digits, - and _."""
    if ":" in name or name.rpartition(".")[2].isdigit():
        try:
            ip_address(name)
        except ValueError:
            return False
        return True
    try:
        labels = (name if name.isascii() else name.encode("idna").decode()).removesuffix(".").split(".")
    except UnicodeError:
        return False
    return all(_LABEL.fullmatch(label) for label in labels)


def key_fault(key: str) -> str | None:
    """Say what makes a key unusable, without showing it; None when nothing does."""
    if "\n" in key or "\r" in key:
        return "holds a newline"
    if any(character.isspace() for character in key):
        return "holds white space"
    if not key.isascii() or not key.isprintable():
        return "holds a character that no key has"
    return None


def seconds(text: str, name: str) -> float:
    """Read a number of seconds, 0 being no limit."""
    value = number(text, name)
    if not 0 <= value <= 1e9:
        raise UsageError(f"{name} is no number of seconds: {text!r}; give 0 or more")
    return value


def number(text: str, name: str) -> float:
    """Read a finite number."""
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{name} is no number: {text!r}; give one")
    return value


def amount(text: str, name: str) -> float:
    """Read an amount of money, more than 0: of none it is not clear whether it allows nothing or anything."""
    value = number(text, name)
    if value <= 0:
        raise UsageError(f"{name} is no more than nothing: {text!r}; give an amount")
    return value


def whole(text: str, name: str, least: int = 0) -> int:
    """Read a whole number of at least `least`."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise UsageError(f"{name} is no whole number of at least {least}: {text!r}; give one")
    return int(text)

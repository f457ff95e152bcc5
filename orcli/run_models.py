"""`orcli models`: which models there are, and the ids that shells complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from orcli import config, output
from orcli.catalog import SORTS, Model, Wish, choose, read_models, row, table
from orcli.config import Setting
from orcli.errors import Incomplete, Unavailable, UsageError, from_api
from orcli.local import PREFIX, installed_models
from orcli.options import ModelsOptions
from orcli.process import Watch, held
from orcli.report import Report, Waiting
from orcli.retry import Retry
from orcli.session import chosen_retries, chosen_seconds, opening, trusted_endpoint
from orcli.text import encode, load_json

if TYPE_CHECKING:
    from orcli.client import Client

INPUTS = ("text", "image", "file", "audio", "video")
_PATH = "/models?output_modalities=all"
_MOST_PAGES = 100


def run_models(options: ModelsOptions) -> None:
    """Carry out `orcli models`: a line for each model that is wanted; raises what the exit code tells."""
    with opening(options) as run:
        wish, sort = read_wish(options)
        models, fault = read_models(installed_models()), None
        if not (options.pattern or "").startswith(PREFIX):
            fetched, fault = fetch(options, run.settings, run.report)
            models += fetched
            keep_ids(models, os.environ)
        wanted = choose(models, wish, sort)
        run.report.detail(f"{len(wanted)} of {len(models)} models")
        show(wanted, json_output=options.json_output)
        if fault is not None:
            run.printed = bool(wanted)
            raise fault
        if not wanted:
            run.report.say("no model matches; see orcli models")


def read_wish(options: ModelsOptions) -> tuple[Wish, str]:
    """Read which models are wanted, and in what order."""
    if options.pattern == "":
        raise UsageError("PATTERN is empty; give part of an id, or leave it out")
    for wanted in options.input or ():
        if wanted not in INPUTS:
            raise UsageError(f"--input is none of {', '.join(INPUTS)}: {wanted!r}; give one")
    sort = options.sort or SORTS[0]
    if sort not in SORTS:
        raise UsageError(f"--sort is none of {', '.join(SORTS)}: {sort!r}; give one")
    return Wish(options.pattern, tuple(options.supports or ()), tuple(options.input or ()), options.free), sort


def fetch(
    options: ModelsOptions, settings: Mapping[str, Setting], report: Report
) -> tuple[list[Model], Incomplete | None]:
    """Fetch the list, page by page, and say why it is not whole where it is not.

    With the key where there is one, without where there is none.
    """
    from orcli.preconnect import preconnect

    watch = Watch(chosen_seconds(options.timeout, "--timeout", settings, "ORCLI_TIMEOUT"))
    retry = Retry(chosen_retries(options.retries, settings), watch.remaining, report.retrying)
    endpoint = trusted_endpoint(settings, report, key_needed=False)
    watch.start()
    watch.expect_reader(output.STDOUT)
    waiting = Waiting(report)
    waiting.start("the list of models")
    try:
        ready = preconnect(endpoint.base_url)
        from orcli.client import connect

        entries: list[Any] = []
        with connect(endpoint, ready) as client:
            try:
                for page in pages(client, retry):
                    entries += page
            except Incomplete as error:
                return read_models(entries), error
        return read_models(entries), None
    finally:
        waiting.stop()


def pages(client: Client, retry: Retry) -> Iterator[Sequence[Any]]:
    """Yield the entries of each page, as far as the list says where the next one is; Incomplete where it goes on."""
    path: str | None = _PATH
    seen: set[str] = set()
    while path is not None and path not in seen:
        if len(seen) == _MOST_PAGES:
            raise Incomplete(f"the list of models has more than {_MOST_PAGES} pages; check API_BASE_URL")
        seen.add(path)
        page = retry.run(partial(read_page, client, path))
        yield page["data"]
        path = next_path(page, client.endpoint.base_url)


def read_page(client: Client, path: str) -> dict[str, Any]:
    """Get a page; Unavailable for what is none."""
    with closing(client.get(path)) as response:
        body = response.read()
    if body.broken is not None:
        raise Unavailable(body.broken.message, transient=True)
    try:
        value = load_json(body.data)
    except ValueError:
        value = None
    if isinstance(value, dict) and value.get("error") and not isinstance(value.get("data"), list):
        raise from_api(value["error"], retry_after=body.retry_after)
    if not (isinstance(value, dict) and isinstance(value.get("data"), list)):
        raise Unavailable("the server answered with no list of models; check API_BASE_URL or try later", transient=True)
    return value


def next_path(page: Mapping[str, Any], base_url: str) -> str | None:
    """Give the address of the next page, None at the end; Incomplete for another host's, which must not get the key."""
    links = page.get("links")
    given = links.get("next") if isinstance(links, Mapping) else None
    if not (isinstance(given, str) and given):
        return None
    try:
        url = urljoin(f"{base_url.rstrip('/')}/models", given)
        here, there = urlsplit(base_url), urlsplit(url)
    except ValueError:
        raise Incomplete("the list of models goes on at what is no address; it is cut") from None
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        raise Incomplete(
            f"the list of models goes on at {there.scheme}://{there.netloc}, which is not asked; it is cut"
        )
    return url


def show(models: Sequence[Model], *, json_output: bool) -> None:
    """Print models: whole objects, an aligned table on a terminal, or lines of tab-separated cells."""
    if json_output:
        for model in models:
            output.write_json(model.object)
    elif models and os.isatty(output.STDOUT):
        output.write_text("\n".join(table(models)))
    elif models:
        output.write_text("\n".join("\t".join(row(model)) for model in models))


def make_private_directory(path: str) -> None:
    """Make a directory and the one that it is in, where they are missing, with mode 0700 (XDG Base Directory 0.8).

    No more: a home that is not there, such as that of nobody, is not to be there.
    """
    for directory in (os.path.dirname(path), path):
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)


def keep_ids(models: Sequence[Model], environ: Mapping[str, str]) -> None:
    """Keep the ids for shells to complete, one a line; where that cannot be, nothing is lost."""
    directory = config.user_directory(environ, "XDG_CACHE_HOME", ".cache")
    if directory is None:
        return
    ids = sorted({model.id for model in models if model.id.isprintable() and not model.id.startswith(PREFIX)})
    with suppress(OSError), held():
        make_private_directory(directory)
        with tempfile.NamedTemporaryFile("wb", dir=directory, prefix=".models.", delete=False) as file:
            try:
                file.write(encode("".join(f"{name}\n" for name in ids)))
                file.flush()
                os.replace(file.name, os.path.join(directory, "models"))
            except BaseException:
                os.unlink(file.name)
                raise

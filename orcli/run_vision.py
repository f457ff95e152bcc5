"""`orcli vision`: images, documents and sound from the command line, and the images of an answer into files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from orcli import output
from orcli.errors import Failed, Incomplete, OrcliError, UsageError
from orcli.inputs import Given, Reader, user_parts
from orcli.local import check_vision
from orcli.media import DETAILS, Part, image_bytes, shortened, suffix_of
from orcli.options import VisionOptions
from orcli.process import held
from orcli.run import deliver, prepare
from orcli.session import Session, chosen_models, live_seconds, session


def run_vision(options: VisionOptions) -> None:
    """Carry out `orcli vision`: text and images in, the answer on stdout; raises what the exit code tells."""
    with session("vision", options) as current:
        check_flags(options)
        check_vision(chosen_models(options.model, current.settings))
        idle = live_seconds(current, options)
        plan = prepare(
            current,
            Given(options.prompt, tuple(options.images or ())),
            lambda given, reader: _content(options, given, reader),
        )
        if options.short:
            plan = replace(plan, request={**plan.request, "messages": shortened(plan.request["messages"])})
        if options.save is not None and not options.dry_run:
            make_directory(options.save)
        try:
            deliver(current, plan, idle=idle, keep=True)
        except OrcliError:
            keep_images(current, options.save)
            raise
        keep_images(current, options.save)


def check_flags(options: VisionOptions) -> None:
    """Raise UsageError for a flag that has no such value, or that this run would ignore."""
    if options.detail is not None and options.detail not in DETAILS:
        raise UsageError(f"--detail {options.detail!r} is none of {', '.join(DETAILS)}; use one of them")
    if options.short and not options.dry_run:
        raise UsageError("--short has no effect without --dry-run; add it, or leave this out")


def _content(options: VisionOptions, given: Given, reader: Reader) -> str | list[Part] | None:
    """Give the content of the user turn; UsageError for a --detail that no image in it carries."""
    image_optional = options.no_stdin and options.save is not None
    content = user_parts(given, reader, detail=options.detail, image_optional=image_optional)
    parts = content if isinstance(content, list) else []
    if options.detail is not None and not any(part["type"] == "image_url" for part in parts):
        raise UsageError("--detail has no effect without an image; leave it out")
    return content


def make_directory(name: str) -> None:
    """Make a directory to keep images in, if need be; UsageError where it cannot be, before anything is sent."""
    try:
        os.makedirs(name, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the directory {name}: {error.strerror}; check --save") from error
    if not os.access(name, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write to the directory {name}; check --save")


def keep_images(current: Session, directory: str | None) -> None:
    """Store the images of what came and print their paths, or without a directory say that they are there.

    Under `--json` stdout has the object with all of them already, so the paths go to stderr.
    """
    images = current.completion.images if current.completion is not None else []
    if directory is None:
        _say_what_came(current, images)
        return
    places: list[str] = []
    broken = 0
    try:
        # All of them are kept before any is told: they were paid for, whether or not stdout still has a reader.
        with held():
            for url in images:
                if not url.startswith("data:"):
                    places.append("".join(url.split()))
                elif (data := image_bytes(url)) is None:
                    broken += 1
                else:
                    places.append(store(data, directory))
    finally:
        for place in places:
            _print_place(current, place)
    if broken:
        raise Incomplete(f"{broken} of the answer's images came broken; try again")


def _say_what_came(current: Session, images: Sequence[str]) -> None:
    addresses = [url for url in images if not url.startswith("data:")]
    for url in addresses:
        current.report.say(f"an image of the answer is at {url}")
    made = len(images) - len(addresses)
    if made and not current.options.json_output:
        them = "1 image; --save DIR keeps it" if made == 1 else f"{made} images; --save DIR keeps them"
        current.report.say(f"the answer has {them}")


def _print_place(current: Session, place: str) -> None:
    if current.options.json_output:
        current.report.say(f"an image of the answer is at {place}")
    else:
        output.write_line(place)


def store(data: bytes, directory: str) -> str:
    """Write an image to a new file of mode 0600 in the directory, under the next free number, and give its path."""
    suffix = suffix_of(data)
    for number in count(1):
        path = os.path.join(directory, f"orcli-{number}.{suffix}")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        except OSError as error:
            raise Failed(f"cannot write {path}: {error.strerror}; the image is lost") from error
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
        except BaseException as error:
            os.unlink(path)
            if isinstance(error, OSError):
                raise Failed(f"cannot write {path}: {error.strerror}; the image is lost") from error
            raise
        return path
    raise AssertionError("the count does not end")

"""`orcli vision`: images, documents and sound from the command line, and the images of an answer into files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from orcli import output
from orcli.errors import Failed, Incomplete, OrcliError, UsageError
from orcli.inputs import Given, Reader, user_parts
from orcli.local import check_vision
from orcli.media import DETAILS, Part, image_bytes, shortened, suffix_of
from orcli.options import VisionOptions
from orcli.process import DeadlinePassed, Signalled, held, release
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
        except (Exception, DeadlinePassed, Signalled) as error:
            if not isinstance(error, Exception):
                release()
            kept = keep_images(current, options.save)
            if isinstance(error, Exception) or (isinstance(error, DeadlinePassed) and output.writable()):
                tell_images(current, options.save, kept)
                if kept.failure is not None:
                    output.report(kept.failure.message)
            raise
        kept = keep_images(current, options.save)
        tell_images(current, options.save, kept)
        if kept.failure is not None:
            raise kept.failure


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


@dataclass(frozen=True)
class Kept:
    """The images of an answer: where each is, in their order, and why some are not kept."""

    places: tuple[str, ...] = ()
    failure: OrcliError | None = None


def keep_images(current: Session, directory: str | None) -> Kept:
    """Store the images of what came, each that can be, in a directory if there is one.

    They were paid for: nothing that ends the run does so before they are there, nor does one that cannot be written.
    """
    if directory is None or current.completion is None:
        return Kept()
    places: list[str] = []
    lost: list[OSError] = []
    broken = 0
    with held():
        for url in current.completion.images:
            if not url.startswith("data:"):
                places.append("".join(url.split()))
            elif (data := image_bytes(url)) is None:
                broken += 1
            else:
                try:
                    places.append(store(data, directory))
                except OSError as error:
                    lost.append(error)
    failure: OrcliError | None = None
    if lost:
        them = "1 of the answer's images is" if len(lost) == 1 else f"{len(lost)} of the answer's images are"
        failure = Failed(f"{them} lost: cannot write to {directory}: {lost[0].strerror}; check --save")
    elif broken:
        failure = Incomplete(f"{broken} of the answer's images came broken; try again")
    return Kept(tuple(places), failure)


def tell_images(current: Session, directory: str | None, kept: Kept) -> None:
    """Print where the images are, or without a directory say that there are some.

    Under `--json` stdout has the object with all of them already, so the paths go to stderr.
    """
    if directory is None:
        _say_what_came(current, current.completion.images if current.completion is not None else [])
    for place in kept.places:
        if current.options.json_output:
            current.report.say(f"an image of the answer is at {place}")
        else:
            output.write_line(place)


def _say_what_came(current: Session, images: Sequence[str]) -> None:
    addresses = [url for url in images if not url.startswith("data:")]
    for url in addresses:
        current.report.say(f"an image of the answer is at {url}")
    made = len(images) - len(addresses)
    if made and not current.options.json_output:
        them = "1 image; --save DIR keeps it" if made == 1 else f"{made} images; --save DIR keeps them"
        current.report.say(f"the answer has {them}")


def store(data: bytes, directory: str) -> str:
    """Write an image to a new file of mode 0600 in the directory, under the next free number, and give its path.

    Raises OSError, and leaves no file, where it cannot be written.
    """
    suffix = suffix_of(data)
    for number in count(1):
        path = os.path.join(directory, f"orcli-{number}.{suffix}")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
        except OSError:
            os.unlink(path)
            raise
        return path
    raise AssertionError("the count does not end")

"""Thousands of lines through bad days: every line answered once, in order, whatever fails and whatever is killed."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from random import Random

from tests.command import Orcli
from tests.openrouter import RESET, OpenRouter, Reply, Request, completion, error, verbatim

LINES = 10_000
KINDS = ("429", "500", "reset", "broken")


class BadDays:
    """Answers each prompt with itself; of 5 in 100 the first request fails, the four kinds of failure in turn."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.kinds: dict[str, str] = {}
        self.answers = 0
        self.after = 0
        self.reached = threading.Event()

    def kind_of(self, prompt: str) -> str | None:
        """Draw once what happens to a prompt's first request."""
        if prompt not in self.kinds:
            bad = self._random.random() < 0.05
            self.kinds[prompt] = self._random.choice(KINDS) if bad else ""
        return self.kinds[prompt]

    def __call__(self, request: Request) -> Reply:
        """Answer, or fail."""
        prompt = request.json["messages"][0]["content"]
        with self._lock:
            self.asked[prompt] += 1
            kind = self.kind_of(prompt) if self.asked[prompt] == 1 else None
            self.answers += 1
            if self.answers == self.after:
                self.reached.set()
        if kind == "429":
            return error(429, headers={"retry-after-ms": "20"})
        if kind == "500":
            return error(500)
        if kind == "reset":
            return verbatim(RESET)
        if kind == "broken":
            return completion(prompt).with_(cut_after=40)
        return completion(prompt)


def answer(line: str) -> str | None:
    """Give the text of a result line; None where it is an error."""
    result = json.loads(line)
    if result["error"] is not None:
        return None
    assert result["response"]["status_code"] == 200
    return str(result["response"]["body"]["choices"][0]["message"]["content"])


def test_ten_thousand_lines_with_failures_are_each_answered_once_in_order(orcli: Orcli, openrouter: OpenRouter) -> None:
    days = BadDays(1)
    openrouter.default = days
    orcli.file("in", "".join(f'"prompt {number}"\n' for number in range(1, LINES + 1)))

    result = orcli("batch", "-j", "32", "in", timeout=240)

    lines = result.stdout.splitlines()
    broken = {prompt for prompt, kind in days.kinds.items() if kind == "broken"}
    assert len(broken) > 50
    assert result.code == 9
    assert result.stderr == f"orcli: {len(broken)} of {LINES} lines failed; their results say why; run it again\n"
    assert [json.loads(line)["custom_id"] for line in lines] == [str(number) for number in range(1, LINES + 1)]
    for number, line in enumerate(lines, 1):
        prompt = f"prompt {number}"
        assert answer(line) == (None if prompt in broken else prompt)
        assert days.asked[prompt] == (2 if days.kinds[prompt] in ("429", "500", "reset") else 1)


def test_killed_at_any_point_the_same_command_again_finishes_the_work(orcli: Orcli, openrouter: OpenRouter) -> None:
    days = BadDays(2)
    openrouter.default = days
    chance = Random(3)
    number_of = {f"prompt {number}": f"id-{number}" for number in range(1, 1501)}
    lines = (
        json.dumps({"custom_id": custom_id, "body": {"messages": [{"role": "user", "content": prompt}]}})
        for prompt, custom_id in number_of.items()
    )
    orcli.file("in", "\n".join(lines) + "\n")
    arguments = ("batch", "-j", "16", "-o", "out", "in")
    killed = 0

    for _ in range(8):
        days.reached.clear()
        days.after = days.answers + chance.randrange(1, 220)
        process = orcli.start(*arguments)
        assert days.reached.wait(30)
        process.send_signal(signal.SIGKILL)
        killed += process.finish().code == -signal.SIGKILL
    codes: list[int] = []
    while not codes or codes[-1] == 9:
        codes.append(orcli(*arguments).code)

    text = (orcli.work / "out").read_text()
    answered = Counter(json.loads(line)["custom_id"] for line in text.splitlines() if answer(line) is not None)
    assert killed == 8
    assert codes in ([9, 0], [0])
    assert answered == Counter(number_of.values())
    assert {answer(line) for line in text.splitlines()} - {None} == set(number_of)
    extra = sum(days.asked.values()) - len(number_of) - sum(bool(kind) for kind in days.kinds.values())
    assert extra <= 8 * 16

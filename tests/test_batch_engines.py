"""The same filter under engines that spread lines over processes and machines: GNU parallel, and Spark's pipe."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.command import Orcli
from tests.openrouter import OpenRouter, Reply, Request, completion

LINES = [
    json.dumps({"custom_id": f"id-{number}", "body": {"messages": [{"role": "user", "content": f"prompt {number}"}]}})
    for number in range(60)
]


def echo(request: Request) -> Reply:
    """Answer a prompt with itself."""
    return completion(request.json["messages"][0]["content"])


def answers(lines: list[str]) -> dict[str, str]:
    """Give the answer of each id; every line has to be one."""
    results = [json.loads(line) for line in lines]
    assert all(result["error"] is None for result in results)
    return {result["custom_id"]: result["response"]["body"]["choices"][0]["message"]["content"] for result in results}


EXPECTED = {f"id-{number}": f"prompt {number}" for number in range(60)}


@pytest.mark.debian
def test_gnu_parallel_spreads_the_lines_over_batches(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = echo
    orcli.file("in", "".join(f"{line}\n" for line in LINES))

    result = orcli.shell("parallel --will-cite --pipe -N 20 -j 2 orcli batch -m openai/gpt-4o-mini < in")

    lines = result.stdout.splitlines()
    assert (result.code, result.stderr, len(lines)) == (0, "", 60)
    assert answers(lines) == EXPECTED


@pytest.mark.debian
def test_gnu_parallel_tells_that_a_batch_failed(orcli: Orcli, openrouter: OpenRouter) -> None:
    openrouter.default = echo

    result = orcli.shell(
        "printf '%s\\n' '\"a\"' '{}' '\"b\"' | parallel --will-cite --pipe -N 1 -k orcli batch -q 2>/dev/null"
    )

    assert result.code == 1
    assert [json.loads(line)["error"] is None for line in result.stdout.splitlines()] == [True, False, True]


@pytest.mark.spark
def test_spark_pipes_its_partitions_through_batch(orcli: Orcli, openrouter: OpenRouter, tmp_path: Path) -> None:
    from pyspark.sql import SparkSession

    openrouter.default = echo
    script = tmp_path / "batch"
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in orcli.env.items())
    script.write_text(f"#!/bin/sh\nexec env -i {settings} orcli batch -j 4\n")
    script.chmod(0o755)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.local.dir", str(tmp_path))
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .getOrCreate()
    )
    try:
        # One partition of the four stays empty.
        lines = spark.sparkContext.parallelize(LINES[:45], 3).union(spark.sparkContext.parallelize([], 1))
        results = lines.pipe(str(script), checkCode=True).collect()
    finally:
        spark.stop()

    assert answers(results) == {f"id-{number}": f"prompt {number}" for number in range(45)}

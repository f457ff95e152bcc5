"""What is written down about orcli against the code: generated files, README, `.env.example`, both ways."""

from __future__ import annotations

import pytest

from orcli.commands import tree
from orcli.reference.files import reference_files
from tests.shipped import ROOT

pytestmark = pytest.mark.source

ORCLI = tree()


@pytest.mark.parametrize("name", reference_files(ORCLI))
def test_a_generated_file_is_what_the_command_tree_gives(name: str) -> None:
    assert (ROOT / name).read_text() == reference_files(ORCLI)[name], "run: python -m orcli.reference"

"""`bff docs`: what messages point to is there, in this installation and in the wheel."""

import re

from click.testing import CliRunner

from bff.cli.command_tree import tree
from bff.cli.docs import documents
from tests.harness.places import ROOT


def test_docs_lists_the_topics_and_prints_one() -> None:
    listed = CliRunner().invoke(tree, ["docs"])
    assert listed.exit_code == 0
    assert re.search(r"^settings  +Settings", listed.output, re.MULTILINE)
    assert CliRunner().invoke(tree, ["docs", "okta"]).output.startswith("# Okta")


def test_an_unknown_topic_names_the_topics_and_reads_no_file() -> None:
    for topic in ("../README", "nothing"):
        refused = CliRunner().invoke(tree, ["docs", topic])
        assert refused.exit_code == 2
        assert "audit, cli" in refused.output


def test_every_document_that_a_message_names_exists() -> None:
    text = "".join(path.read_text() for path in (ROOT / "bff").rglob("*.py"))
    named = set(re.findall(r"`bff docs ([a-z-]+)`", text))
    assert named >= {"settings", "okta"}
    assert named <= documents().keys()

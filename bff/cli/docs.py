"""`bff docs [TOPIC]`: the reference documents of this version, for messages that point to them and machines offline."""

from pathlib import Path
from typing import Final

import click

import bff
from bff.cli import output

_PACKAGE: Final = Path(bff.__file__).parent
# In the wheel the documents are part of the package; in a clone they are beside it.
_FOLDERS: Final = (_PACKAGE / "docs", _PACKAGE.parent / "docs")


def documents() -> dict[str, Path]:
    """The documents of this installation by topic."""
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    return {} if folder is None else {path.stem: path for path in sorted(folder.glob("*.md"))}


@click.command(name="docs", short_help="Print a document of this version.")
@click.argument("topic", required=False)
def command(topic: str | None) -> None:
    """Print the document TOPIC as Markdown; without a topic, list the topics."""
    by_topic = documents()
    if topic is None:
        output.table(
            [(name, path.read_text("utf-8").partition("\n")[0].lstrip("# ")) for name, path in by_topic.items()]
        )
        return
    if topic not in by_topic:
        raise click.BadParameter(f"{topic!r} is not one of: {', '.join(by_topic)}.", param_hint="TOPIC")
    output.lines(by_topic[topic].read_text("utf-8").splitlines())

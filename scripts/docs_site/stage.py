"""The source of the site: docs/, the files of the repository that it links to, and tables that are made from the code.

A link that leaves docs/ leads to a page of the site too, so the site is whole without a repository that is published
anywhere: a file becomes a page that shows it, a folder becomes a page for each of its files.
"""

import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts.docs_site.reference import PAGES as REFERENCE

ROOT: Final = Path(__file__).resolve().parents[2]
WEBSITE: Final = ROOT / "website"
SOURCE: Final = "source"  # the folder of the site for files from outside docs/
_CODE: Final = re.compile(r"(?ms)^( *```.*?^ *```$)|(`[^`\n]+`)")
_LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")
_LANGUAGES: Final = {
    ".conf": "nginx", ".env": "ini", ".go": "go", ".java": "java", ".js": "js", ".json": "json", ".mjs": "js",
    ".py": "python", ".service": "ini", ".sh": "sh", ".toml": "toml", ".ts": "ts", ".tsx": "tsx", ".vue": "html",
    ".yaml": "yaml", ".yml": "yaml",
}  # fmt: skip


def stage(website: Path) -> int:
    """Writes the configuration of the generator and, in `docs`, all pages. Returns their number.

    Raises ValueError for a link to a file that git does not track.
    """
    target = website / "docs"
    shutil.rmtree(target, ignore_errors=True)
    (target / "assets").mkdir(parents=True)
    shutil.copyfile(WEBSITE / "zensical.toml", website / "zensical.toml")
    for asset in (
        WEBSITE / "extra.css",
        WEBSITE / "extra.js",
        WEBSITE / "node_modules" / "mermaid" / "dist" / "mermaid.min.js",
    ):
        shutil.copyfile(asset, target / "assets" / asset.name)
    linked: set[str] = set()
    for name in _tracked("docs"):
        page = target / Path(name).relative_to("docs")
        page.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            page.write_text(_with_links_inside(name, (ROOT / name).read_text("utf-8"), linked), "utf-8")
        else:
            shutil.copyfile(ROOT / name, page)
    _show_linked(target, linked)
    for name, text in REFERENCE.items():
        (target / "reference").mkdir(exist_ok=True)
        (target / "reference" / name).write_text(text(), "utf-8")
    return sum(1 for _ in target.rglob("*.md"))


def _tracked(path: str) -> list[str]:
    """The files below a path of the repository, committed or new, but not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", path]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file())


def _with_links_inside(document: str, text: str, linked: set[str]) -> str:
    """The text with its links as they are between pages of the site; `linked` collects what is outside docs/."""
    folder = posixpath.dirname(page_of(document))

    def changed(link: re.Match[str]) -> str:
        url, _, anchor = link[2].partition("#")
        if not url or re.match(r"[a-z][a-z0-9+.-]*:", url):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(document), url))
        if not path.startswith("docs/"):
            linked.add(path)
        return f"{link[1]}{posixpath.relpath(page_of(path), folder)}{'#' + anchor if anchor else ''}{link[3]}"

    return "".join(part if code else _LINK.sub(changed, part) for part, code in _prose_and_code(text))


def page_of(path: str) -> str:
    """The page, or the file, of the site that shows a path of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"{SOURCE}/{path}/index.md"
    visible = "/".join(part.lstrip(".") for part in path.split("/"))  # the generator leaves out hidden files: .npmrc
    return f"{SOURCE}/{path}" if path.endswith(".md") else f"{SOURCE}/{visible}.md"


def _prose_and_code(text: str) -> Iterator[tuple[str, bool]]:
    end = 0
    for code in _CODE.finditer(text):
        yield text[end : code.start()], False
        yield code[0], True
        end = code.end()
    yield text[end:], False


def _show_linked(target: Path, linked: set[str]) -> None:
    """Writes a page for each linked file or folder; those that a shown document links to follow."""
    shown: set[str] = set()
    while waiting := sorted(linked - shown):
        for path in waiting:
            shown.add(path)
            files = _tracked(path)
            if not files:
                raise ValueError(f"a document links to {path}, which is no file of the repository")
            if (ROOT / path).is_dir():
                files = [name for name in files if not Path(name).name.startswith(".")]  # the generator leaves them out
                linked |= set(files)
                here = posixpath.dirname(page_of(path))
                listing = "".join(f"- [`{name}`]({posixpath.relpath(page_of(name), here)})\n" for name in files)
                text = f"# {path}/\n\n{listing}"
            elif path.endswith(".md"):
                text = _with_links_inside(path, (ROOT / path).read_text("utf-8"), linked)
            else:
                text = _as_code(path, (ROOT / path).read_text("utf-8"))
            page = target / page_of(path)
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text, "utf-8")


def _as_code(path: str, text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"# {path}\n\n{fence}{_LANGUAGES.get(Path(path).suffix, 'text')}\n{text.rstrip()}\n{fence}\n"

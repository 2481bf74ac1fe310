"""An mkdocs hook that adds pages from elsewhere in the repository, and notebooks, to the site.

Links to them are written as they work in the repository; here they are rewritten for the site.
"""

import os
import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExtractOutputPreprocessor

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "results.md",
}
PICTURES = "benchmarks/pictures"
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s:]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:  # noqa: ANN401
    """Add the pages from elsewhere, and the notebooks as Markdown with their pictures."""
    for source, name in ELSEWHERE.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, name, content=text))
    for path in sorted((ROOT / PICTURES).glob("*.png")):
        name = f"measured/{path.name}"
        files.append(File.generated(config, name, content=path.read_bytes()))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        for name, content in exported(path).items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def exported(path: Path) -> dict[str, str | bytes]:
    """Return a notebook as Markdown, and the pictures of its outputs, by file name."""
    pictures = ExtractOutputPreprocessor(
        output_filename_template=path.stem + "-{cell_index}{extension}"
    )
    exporter = MarkdownExporter(preprocessors=[pictures])
    text, resources = exporter.from_notebook_node(nbformat.read(path, as_version=4))
    note = f"*From the notebook `docs/notebooks/{path.name}`.*"
    title, _, rest = text.lstrip().partition("\n")
    return {f"{path.stem}.md": f"{title}\n\n{note}\n{rest}", **resources["outputs"]}


def on_page_markdown(text: str, page: Page, **_: Any) -> str:  # noqa: ANN401
    """Turn links within the repository into links within the site."""
    name = page.file.src_uri
    source = next((key for key, value in ELSEWHERE.items() if value == name), f"docs/{name}")
    return LINK.sub(lambda found: turned(found, source, name), text)


def turned(found: re.Match[str], source: str, name: str) -> str:
    """Return a link for page `name`, which is the file `source` in the repository.

    A link to something that the site does not have is replaced by its name.
    """
    label, link, anchor = found.groups()
    target = os.path.normpath(os.path.join(os.path.dirname(source), link))
    if target in ELSEWHERE:
        target = ELSEWHERE[target]
    elif target.startswith(f"{PICTURES}/") and (ROOT / target).exists():
        target = target.replace(PICTURES, "measured")
    elif target.startswith("docs/"):
        target = target.removeprefix("docs/")
    elif (ROOT / target).exists():
        return label if label == target else f"{label} (`{target}`)"
    return f"[{label}]({os.path.relpath(target, os.path.dirname(name) or '.')}{anchor or ''})"

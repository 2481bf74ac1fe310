"""An mkdocs hook that converts formulas to MathML at build time, so that pages need no script."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.S)
NUMBER = re.compile(r"\\tag\{(.*?)\}")


def on_page_content(content: str, **_: Any) -> str:  # noqa: ANN401
    """Replace every formula that arithmatex has marked."""
    return FORMULA.sub(lambda found: mathml(found[1], html.unescape(found[2])), content)


def mathml(tag: str, marked: str) -> str:
    r"""Return the MathML of ``\(...\)`` in a span, or of ``\[...\]`` in a div, numbered."""
    inner = marked.strip()[2:-2].strip()
    if tag == "span":
        return spaced(convert(inner))
    number = NUMBER.search(inner)
    shown = spaced(convert(NUMBER.sub("", inner).strip(), display="block"))
    return f'<div class="formula">{shown}<span>{f"({number[1]})" if number else ""}</span></div>'


def spaced(formula: str) -> str:
    """Turn `~`, which the converter takes for a letter, into a relation."""
    return formula.replace("<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>")

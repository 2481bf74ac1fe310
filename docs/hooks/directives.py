"""A griffe extension that turns `.. math::` in docstrings into Markdown formulas."""

import re
import textwrap
from typing import Any

from griffe import Extension, Object

DIRECTIVE = re.compile(r"^\.\. math::(.*\n(?:[ \t]+.*\n|[ \t]*\n)*)", re.M)


class MathDirectives(Extension):
    """Rewrite docstrings as they are collected."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:  # noqa: ANN401
        """Replace the directives of one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = DIRECTIVE.sub(_formula, obj.docstring.value + "\n").rstrip()


def _formula(found: re.Match[str]) -> str:
    first, _, rest = found[1].partition("\n")
    body = f"{first.strip()}\n{textwrap.dedent(rest)}".strip()
    return f"\n$$\n{body}\n$$\n\n"

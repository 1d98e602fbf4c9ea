"""Mathematics as MathML, which browsers draw by themselves, without scripts: docutils converts it.

A font for mathematics comes with the pages that need one: few Linux systems have one. It stands in the style sheet,
since Firefox loads no fonts from other files of the file system.
"""

from __future__ import annotations

import base64
import importlib.resources
import pathlib
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx

STYLE = """@font-face {{
  font-family: "blendloss math";
  src: local("STIX Two Math"), url("data:font/ttf;base64,{font}") format("truetype");
}}
math {{ font-family: "blendloss math", math; font-size: 1.1em; }}
"""


def inline(translator: Any, node: nodes.math) -> None:
    """A formula in a line."""
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """A formula on lines of its own."""
    made = latex2mathml.tex2mathml(node.astext(), as_block=True)
    translator.body.append(f'<div class="math">{made}</div>\n')
    raise nodes.SkipNode


def _style(app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None) -> None:
    """Gives the pages with formulas the font."""
    if "<math" in context.get("body", ""):
        app.add_css_file("math.css")


def _write_style(app: Sphinx) -> None:
    if app.builder.name != "html":
        return
    font = importlib.resources.files("ziamath").joinpath("fonts", "STIXTwoMath-Regular.ttf").read_bytes()
    static = pathlib.Path(app.outdir, "_static")
    static.mkdir(parents=True, exist_ok=True)
    (static / "math.css").write_text(STYLE.format(font=base64.b64encode(font).decode()), encoding="ascii")


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers the renderer. What docutils cannot convert raises an error, which ends the build."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("builder-inited", _write_style)
    app.connect("html-page-context", _style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

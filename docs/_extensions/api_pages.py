"""Writes the pages of the API before Sphinx reads its sources, and links to them from all others."""

from __future__ import annotations

import pathlib
from typing import Any

from api_text import named, pages
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from papers._quiet import import_tensorflow

FOLDER = pathlib.Path("docs", "api")


class LinksToTheApi(SphinxPostTransform):
    """Makes `ScoreMatching` in a text a link to its page."""

    default_priority = 600
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Replaces literals that are exported names, outside titles, links and their own pages."""
        for literal in list(self.document.findall(nodes.literal)):
            full = named(literal.astext())
            home = f"docs/api/{full}"
            parents = (nodes.reference, nodes.title, addnodes.desc_signature)
            if full is None or home == self.env.docname or _inside(literal, parents):
                continue
            uri = self.app.builder.get_relative_uri(self.env.docname, home)
            literal.replace_self(nodes.reference("", "", literal.deepcopy(), refuri=uri, internal=True))


def _inside(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def _write(app: Sphinx) -> None:
    folder = pathlib.Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    import_tensorflow()
    made = pages()
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Writes the pages, and links to them."""
    app.connect("builder-inited", _write)
    app.add_post_transform(LinksToTheApi)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

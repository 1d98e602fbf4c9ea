"""After the build: every link inside the site leads somewhere, and no page loads anything from elsewhere."""

from __future__ import annotations

import functools
import html.parser
import pathlib
import urllib.parse
from typing import Any


class Page(html.parser.HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects the attributes that name places."""
        given = dict(attrs)
        self.anchors.update(filter(None, (given.get("id"), given.get("name") if tag == "a" else None)))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        elif tag != "a":
            loads = given.get("src") or (given.get("href") if tag == "link" else None)
            self.loaded += [loads] if loads else []


@functools.cache
def read(path: pathlib.Path) -> Page:
    """The page in a file."""
    return Page(path.read_text(encoding="utf-8"))


def broken(folder: pathlib.Path) -> list[str]:
    """A line for each broken link, and for each thing that is loaded from elsewhere."""
    found = []
    for path in sorted(folder.rglob("*.html")):
        page = read(path)
        name = path.relative_to(folder)
        for target in page.loaded + page.links:
            url = urllib.parse.urlsplit(target)
            if url.scheme or url.netloc:
                found += [f"{name} loads {target}"] if target in page.loaded and url.scheme != "data" else []
                continue
            place = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            if not place.is_file():
                found.append(f"{name}: there is no {target}")
            elif place.suffix == ".html" and urllib.parse.unquote(url.fragment) not in read(place).anchors:
                found.append(f"{name}: there is no anchor {target}")
    return found


def _check(app: Any, failure: Exception | None) -> None:
    if failure is None and app.builder.name == "html":
        from sphinx.util import logging  # here, so that tests need no Sphinx

        for line in broken(pathlib.Path(app.outdir)):
            logging.getLogger(__name__).warning(line)  # an error under -W


def setup(app: Any) -> dict[str, Any]:
    """Checks the site when it is built."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""What `make docs` is made of: the pages of the API, and the check of links."""

import ast
import importlib
import importlib.util
import inspect
import pathlib
import pkgutil
import re

import pytest

import blendloss as bl

EXTENSIONS = pathlib.Path(__file__).parents[1] / "docs" / "_extensions"


def extension(name):
    """A file of docs/_extensions, which is no package."""
    spec = importlib.util.spec_from_file_location(name, EXTENSIONS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


api = extension("api_text")
links = extension("links")


ROOT = EXTENSIONS.parents[1]


def matches(pattern):
    """Whether a path fits a pattern: `*` stands for a part of a name, `**` for any folders."""
    return re.compile(re.sub(r"\\\*(\\\*)?", lambda star: ".*" if star[1] else "[^/]*", re.escape(pattern))).fullmatch


def documents():
    """The Markdown files of the site, by docs/conf.py; those that `make docs` writes left out."""
    patterns = re.search(r"include_patterns = (\[.*?\])", (ROOT / "docs" / "conf.py").read_text(), re.DOTALL)
    assert patterns is not None
    included = [matches(pattern) for pattern in ast.literal_eval(patterns[1])]
    folders = ("docs", "benchmarks", "papers", "tests")
    paths = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))]
    names = [path.relative_to(ROOT).as_posix() for path in paths]
    made = re.compile("docs/(_.*|api)/")
    return {name for name in names if any(fits(name) for fits in included) and not made.match(name)}


def test_a_document_that_the_site_links_to_is_in_the_site():
    found = documents()
    assert {"docs/index.md", "papers/README.md", "CHANGELOG.md"} < found
    for name in found:
        for target in re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", (ROOT / name).read_text()):
            place = (ROOT / name).parent.joinpath(target).resolve().relative_to(ROOT.resolve()).as_posix()
            assert place in found, f"{name} links to {place}, which docs/conf.py does not include"


def test_every_document_of_the_site_is_in_a_list_of_contents():
    found = documents()
    patterns = []
    for name in found:
        for listed in re.findall(r"^```\{toctree\}\n(.*?)^```$", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL):
            for entry in re.findall(r"^([^:\n].*)$", listed, re.MULTILINE):
                entry = re.sub(r"^.*<(.*)>$", r"\1", entry)
                patterns.append(
                    matches(f"{entry[1:] if entry[0] == '/' else f'{pathlib.PurePath(name).parent}/{entry}'}.md")
                )
    missing = {name for name in found if not any(fits(name) for fits in patterns)}
    assert missing == {"docs/index.md"}


def test_every_public_package_has_a_page_of_its_exports():
    found = {
        name: importlib.import_module(name)
        for _, name, is_package in pkgutil.walk_packages(bl.__path__, "blendloss.")
        if is_package and not re.search(r"\._", name)
    }
    with_names = {name: module for name, module in found.items() if hasattr(module, "__all__")}
    assert set(api.packages()) == {"blendloss", *with_names}
    pages = api.pages()
    for name, module in api.packages().items():
        assert set(re.findall(r"^\| \[`(\w+)`\]", pages[f"{name}.md"], re.MULTILINE)) == {
            export for export in module.__all__ if not inspect.ismodule(getattr(module, export))
        }


def test_the_pages_hold_all_words_of_the_docstrings():
    pages = api.pages()
    for name, subject in api.exports().items():
        text = inspect.getdoc(subject)
        page = pages[f"{'blendloss.BlendedModel' if name == 'blendloss.keras.BlendedModel' else name}.md"]
        missing = set(re.findall(r"\w+", text)) - set(re.findall(r"\w+", page))
        assert missing <= {"Args", "Returns", "Raises"}, name
        for section in re.findall(r"^Args:\n(.*?)(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL):
            for argument in re.findall(r"^    (\w+):", section, re.MULTILINE):
                assert f":param {argument}: " in page


def test_a_page_reads_as_its_docstring():
    page = api.pages()["blendloss.losses.Tukey.md"]
    assert page.startswith("# Tukey\n")
    assert "{py:class} Tukey(scale=1.0)\n\nTukey's biweight (bisquare): bounded;" in page
    assert "Derives from [`losses.Penalty`](blendloss.losses.Penalty.md)." in page
    assert "\n\n    rho(r) = c^2 / 6 (1 - max(1 - u^2, 0)^3)," in page  # a formula stays a block
    assert ":param scale: c, the rejection point, positive, in units of the residual." in page
    assert "**Example**\n\n```pycon\n>>> import blendloss as bl\n" in page
    assert ":param width: \\> 0, in units" in api.pages()["blendloss.gates.ByResidual.md"]  # no quotation
    assert "tuned" not in page  # stands on the page of the base
    assert "{py:classmethod} tuned(efficiency=0.95" in api.pages()["blendloss.losses.Penalty.md"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Fixed", "blendloss.gates.Fixed"),
        ("bl.gates.Fixed([1.0, 2.0])", "blendloss.gates.Fixed"),
        ("blendloss.schedules.linear", "blendloss.schedules.linear"),
        ("BlendedModel", "blendloss.BlendedModel"),
        ("fit_gate(blend, y_true, y_pred)", "blendloss.fit_gate"),
        ("bl.keras.BlendedModel", "blendloss.BlendedModel"),  # exported twice
        ("linear", None),  # may be a word
        ("fixed", None),
        ("Fixed.gating", None),
    ],
)
def test_names_in_texts_lead_to_their_pages(text, name):
    assert api.named(text) == name


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        "<h1 id='top-of-a'>a</h1><a name=old></a><a href='b.html#there'>b</a><a href='#top-of-a'>a</a><a href='#'>a</a>"
        "<a href='https://example.org'>leads out</a><img src='data:image/png;base64,'><a href='%62.html'>b</a>"
    )
    (tmp_path / "b.html").write_text("<p id=there></p><a href='a.html#old'>a</a><link href='style.css'>")
    (tmp_path / "style.css").write_text("")
    assert links.broken(tmp_path) == []
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.html").write_text(
        "<a href='../b.html#nowhere'>b</a><a href='b.html'>b</a><script src='https://example.org/x.js'></script>"
        "<link rel=stylesheet href='//example.org/x.css'><img src='missing.png'>"
    )
    assert links.broken(tmp_path) == [
        "sub/c.html loads https://example.org/x.js",
        "sub/c.html loads //example.org/x.css",
        "sub/c.html: there is no missing.png",
        "sub/c.html: there is no anchor ../b.html#nowhere",
        "sub/c.html: there is no b.html",
    ]

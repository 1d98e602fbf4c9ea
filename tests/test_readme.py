"""Every snippet of README.md and of docs/ runs, from top to bottom, by itself."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MADE = {"_build", "api"}  # by `make docs`
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in (ROOT / "docs").glob("**/*.md")
    if page.relative_to(ROOT / "docs").parts[0] not in MADE
)
DOCUMENTS = ["README.md", *PAGES]
SNIPPETS = [
    pytest.param(snippet, id=f"{document}-{i}")
    for document in DOCUMENTS
    for i, snippet in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL))
]


def test_there_are_snippets():
    assert len(SNIPPETS) >= 5
    assert {"docs/keras.md", "docs/design/README.md", "docs/guide/which-gate.md"} <= set(PAGES)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 6000


#: Long trainings, and as long as they need be to run every line.
SHORTER = {"gate, epochs=60": "gate, epochs=2", "gate, steps=5000": "gate, steps=20"}


def test_the_shortened_trainings_are_in_the_pages():
    pages = "".join((ROOT / document).read_text() for document in DOCUMENTS)
    assert all(long in pages for long in SHORTER)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for long, short in {**SHORTER, "/tmp/": f"{tmp_path}/"}.items():
        snippet = snippet.replace(long, short)
    names = {"__name__": "readme"}
    exec(compile(snippet, "README.md", "exec"), names)
    assert names.keys() > {"__name__", "__builtins__"}  # it made something


@pytest.mark.parametrize("document", [*DOCUMENTS, "CONTRIBUTING.md", "benchmarks/README.md", "papers/README.md"])
def test_links_lead_somewhere(document):
    place = ROOT / document
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", place.read_text()):
        page = place.parent / target if target else place
        assert page.exists(), target
        if anchor:
            assert anchor in map(_anchor, re.findall("^#+ (.*)$", page.read_text(), re.MULTILINE)), (target, anchor)


DESIGN = sorted(page for page in PAGES if page.startswith("docs/design/") and not page.endswith("README.md"))


def test_links_of_the_design_index_are_all_its_headings():
    index = (ROOT / "docs" / "design" / "README.md").read_text()
    headings = [
        (heading, f"{pathlib.Path(page).name}#{_anchor(heading)}")
        for page in DESIGN
        for heading in re.findall("^## (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    ]
    assert len(headings) >= 40
    assert sorted(re.findall(r"^- \[(.*)\]\((.*)\)$", index, re.MULTILINE)) == sorted(headings)


def _anchor(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", DESIGN)
def test_links_to_code_and_tests_of_a_design_page_lead_somewhere(page):
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:benchmarks|blendloss|papers|tests)/[\w./-]*)`", text)
    assert named
    for path in named:
        assert (ROOT / path).exists(), path
    sources = "".join(source.read_text() for source in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in sources, name

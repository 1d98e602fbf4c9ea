"""Every snippet of the READMEs and of docs/ runs, from top to bottom, by itself."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ["README.md", "blendloss/gates/README.md", *PAGES]
SNIPPETS = [
    pytest.param(snippet, id=f"{document}-{i}")
    for document in DOCUMENTS
    for i, snippet in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL))
]


def test_there_are_snippets():
    assert len(SNIPPETS) >= 5
    assert "docs/keras.md" in PAGES


#: Long trainings, and as long as they need be to run every line.
SHORTER = {"gate, epochs=60": "gate, epochs=2", "gate, steps=5000": "gate, steps=20"}


def test_what_is_shortened_is_there():
    pages = "".join((ROOT / document).read_text() for document in DOCUMENTS)
    assert all(long in pages for long in SHORTER)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for long, short in {**SHORTER, "/tmp/": f"{tmp_path}/"}.items():
        snippet = snippet.replace(long, short)
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("document", [*DOCUMENTS, "CONTRIBUTING.md", "benchmarks/README.md", "papers/README.md"])
def test_links_lead_somewhere(document):
    place = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)\)", place.read_text()):
        assert (place.parent / target).exists(), target

"""Sphinx: `make docs` builds the site. The source folder is the whole checkout, so that links work as they do in it."""

import importlib.metadata
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_extensions"))

project = "blendloss"
version = release = importlib.metadata.version("blendloss")
root_doc = "docs/index"
extensions = ["myst_parser", "mathml", "api_pages", "links"]

include_patterns = [
    "docs/**",
    "benchmarks/*.md",
    "benchmarks/results/**/report.md",
    "papers/README.md",
    "papers/*/README.md",
    "papers/*/results/*.md",
    "tests/workers/results.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = [".*", "**/.*", "**/__pycache__", "build", "docs/_*", "blendloss"]
templates_path = ["_templates"]

myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]
highlight_language = "text"  # what says no language: output, formulas
smartquotes_action = "D"  # dashes; docstrings say f' for a derivative
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"blendloss {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_additional_pages = {"index": "start.html"}
html_copy_source = False
html_show_copyright = False
html_show_search_summary = False  # it would fetch pages, which browsers refuse from the file system
html_use_index = True

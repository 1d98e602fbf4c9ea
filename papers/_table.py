"""The table of all papers and claims in papers/README.md, made from the committed results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from papers._claim import NOT, PENDING, REPRODUCED, WITHIN, require_numbers
from papers._paper import ROOT, Paper, load, names
from papers._record import committed, runs_of

README = ROOT / "README.md"
BEGIN, END = "<!-- made by `python -m papers table` -->", "<!-- end of the table -->"


def table() -> str:
    """The summary and the claims of every paper, in Markdown."""
    papers = [load(name) for name in names()]
    return "\n".join([*_summary(papers), *(line for paper in papers for line in _claims(paper))])


def with_table(text: str, made: str) -> str:
    """`text` with the part between the marks replaced."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def _summary(papers: list[Paper]) -> Iterator[str]:
    yield "| paper | what | reproduced | within tolerance | not reproduced | not run | runs | minutes | device |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for paper in papers:
        record = committed(paper)
        verdicts = Counter(claim.judged(runs_of(record or {"runs": []})).verdict for claim in paper.claims)
        counts = " | ".join(str(verdicts[verdict] or "") for verdict in (REPRODUCED, WITHIN, NOT, PENDING))
        yield f"| [{paper.name}]({paper.name}/README.md) | {paper.about} | {counts} | {_effort(record)} |"


def _effort(record: dict[str, Any] | None) -> str:
    if record is None:
        return " | | "
    devices = sorted({run["device"] for run in record["runs"]})
    return f"{len(record['runs'])} | {record.get('seconds', 0) / 60:.1f} | {'; '.join(devices)}"


def _claims(paper: Paper) -> Iterator[str]:
    record = committed(paper)
    yield f"\n## {paper.name}\n"
    if record is None:
        yield "Not run at its full size yet."
        return
    commits = sorted({str(run["commit"]) for run in record["runs"]})
    about = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    yield f"{about}; commit {', '.join(commits)}.\n"
    yield "| claim | published | ours | verdict | source |"
    yield "|---|---|---|---|---|"
    judged = [claim.judged(runs_of(record)) for claim in paper.claims]
    require_numbers(judged)
    for one in judged:
        claim = one.claim
        cells = (*one.row, claim.source + (f"; tolerance: {claim.why}" if claim.why else ""))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

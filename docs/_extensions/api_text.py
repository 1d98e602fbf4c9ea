"""The API as Markdown: a page for every name in `__all__` of the public packages.

Docstrings of this project are plain text with Markdown's backticks and indented formulas, and have the sections that
CONTRIBUTING.md names. Arguments, results and errors become fields, and examples code. Nothing here needs Sphinx.
"""

from __future__ import annotations

import enum
import functools
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

HEADINGS = ("Args", "Returns", "Raises", "Example", "References", "Deviations")
NO_DEFAULT = inspect.Parameter.empty


@functools.cache
def packages() -> dict[str, types.ModuleType]:
    """The public packages by name: blendloss, and what it exports that is a package."""
    import blendloss

    found = {}

    def walk(package: types.ModuleType) -> None:
        found[package.__name__] = package
        for name in package.__all__:
            if inspect.ismodule(member := getattr(package, name)):
                walk(member)

    walk(blendloss)
    return found


@functools.cache
def exports() -> dict[str, Any]:
    """Everything exported, by its full name."""
    return {
        f"{package}.{name}": member
        for package, module in packages().items()
        for name in sorted(module.__all__, key=str.lower)
        if not inspect.ismodule(member := getattr(module, name))
    }


def _home(name: str) -> str:
    """The first of the names of what is exported twice."""
    return next(full for full, member in exports().items() if member is exports()[name])


def pages() -> dict[str, str]:
    """The text of every page by the name of its file."""
    made = {"index.md": _index()}
    for name, module in packages().items():
        made[f"{name}.md"] = _package(name, module)
    made |= {f"{name}.md": _page(name, subject) for name, subject in exports().items() if name == _home(name)}
    return made


def _index() -> str:
    lines = ["# API", "", "Everything that is exported. Names that begin with `_` are private.", ""]
    lines += [f"- [{name}]({name}.md): {_claim(module)}" for name, module in packages().items()]
    return "\n".join([*lines, "", *_toctree(packages())])


def _package(name: str, module: types.ModuleType) -> str:
    own = [full for full in exports() if full.rpartition(".")[0] == name]
    lines = [f"# {name}", "", inspect.getdoc(module) or "", "", "| name | |", "|---|---|"]
    lines += [f"| [`{full.rpartition('.')[2]}`]({_home(full)}.md) | {_cell(_claim(exports()[full]))} |" for full in own]
    return "\n".join([*lines, "", *_toctree([full for full in own if full == _home(full)])])


def _toctree(names: Iterable[str]) -> list[str]:
    return ["```{toctree}", ":hidden:", "", *names, "```", ""]


def _claim(subject: Any) -> str:
    return (inspect.getdoc(subject) or "").split("\n\n")[0].replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _page(name: str, subject: Any) -> str:
    package, _, short = name.rpartition(".")
    lines = [f"# {short}", "", "```{py:currentmodule} " + package, "```", ""]
    if inspect.isclass(subject):
        lines += [*_bases(subject)]
    kind = "class" if inspect.isclass(subject) else "function"
    members = [line for member in _members(subject) for line in _directive(*member)]
    lines += _directive(kind, f"{short}{_signature(subject)}", _described(inspect.getdoc(subject) or ""), members)
    return "\n".join(lines) + "\n"


def _directive(kind: str, signature: str, body: str, members: Sequence[str] = ()) -> list[str]:
    fence = "`````" if members else "````"  # longer than those inside
    return [f"{fence}{{py:{kind}}} {signature}", "", body, "", *members, fence, ""]


def _bases(subject: type) -> Iterator[str]:
    """The exported class that a class derives from."""
    by_class = {member: full for full, member in exports().items() if inspect.isclass(member)}
    for base in subject.__mro__[1:]:
        if base in by_class:
            yield f"Derives from [`{by_class[base].removeprefix('blendloss.')}`]({by_class[base]}.md)."
            yield ""
            return


def _members(subject: Any) -> Iterator[tuple[str, str, str]]:
    """Documented public methods and properties, but those of bases that have a page."""
    if not inspect.isclass(subject) or issubclass(subject, enum.Enum):
        return
    exported = {member for member in exports().values() if inspect.isclass(member)} - {subject}
    with_page = {owner for base in subject.__mro__ if base in exported for owner in base.__mro__}
    seen = set()
    for owner in subject.__mro__:
        if not owner.__module__.startswith("blendloss") or owner in with_page:
            continue
        for name, member in vars(owner).items():
            function = getattr(member, "__func__", member)
            document = getattr(function, "__doc__", None)
            if name.startswith("_") or name in seen or not document:
                continue
            seen.add(name)
            if isinstance(member, property):
                yield "property", name, _described(inspect.cleandoc(document))
            elif inspect.isfunction(function):
                kind = {staticmethod: "staticmethod", classmethod: "classmethod"}.get(type(member), "method")
                bound = isinstance(member, staticmethod)
                yield kind, f"{name}{_signature(function, bound=bound)}", _described(inspect.cleandoc(document))


def _signature(subject: Callable[..., Any], *, bound: bool = True) -> str:
    """Names and defaults of the arguments; their types stand in words in the docstring."""
    if inspect.isclass(subject) and issubclass(subject, enum.Enum):
        return ""
    parameters = [
        parameter.replace(annotation=NO_DEFAULT, default=_default(parameter.default))
        for parameter in inspect.signature(subject).parameters.values()
    ]
    return str(inspect.Signature(parameters if bound else parameters[1:]))


class _Text(str):
    def __repr__(self) -> str:
        return str(self)


def _default(value: Any) -> Any:
    """A default as it can be read: objects by the name of their class."""
    if value is NO_DEFAULT or value is None or isinstance(value, (bool, int, float, str, tuple, enum.Enum)):
        return _Text(value) if isinstance(value, enum.Enum) else value
    if inspect.isfunction(value) or inspect.isclass(value):
        return _Text(value.__name__)
    return _Text(f"{type(value).__name__}()")


def _described(document: str) -> str:
    """A docstring as Markdown."""
    first, *rest = re.split(rf"^({'|'.join(HEADINGS)}):$", document, flags=re.MULTILINE)
    found = dict(zip(rest[::2], map(textwrap.dedent, rest[1::2]), strict=True))
    parts = [first.strip()]
    fields = [*_entries("param", found.get("Args", "")), *_returns(found.get("Returns", ""))]
    fields += _entries("raises", found.get("Raises", ""))
    parts += ["\n".join(fields)] if fields else []
    if "Example" in found:
        parts += ["**Example**", f"```pycon\n{found['Example'].strip()}\n```"]
    parts += [f"**{heading}**\n\n{found[heading].strip()}" for heading in HEADINGS[4:] if heading in found]
    return "\n\n".join(parts)


def _entries(field: str, text: str) -> Iterator[str]:
    """`name: what it is`, with continued lines indented, as fields."""
    for entry in re.split(r"\n(?=\S)", text.strip("\n")):
        if not entry.strip():
            continue
        name, colon, what = entry.partition(":")
        if not colon:
            raise ValueError(f"An entry of a docstring must read `name: text`. Received: {entry!r}")
        yield f":{field} {name}: {_continued(what.strip())}"


def _returns(text: str) -> Iterator[str]:
    if text.strip():
        yield f":returns: {_continued(text.strip())}"


def _continued(text: str) -> str:
    head, newline, rest = re.sub("^>", r"\\>", text).partition("\n")  # no quotation
    return head + newline + textwrap.indent(textwrap.dedent(rest), "    ")


@functools.cache
def _by_text() -> dict[str, str]:
    """Full names by what texts call them; names of one package before those of another, the top level first."""
    found: dict[str, str] = {}
    for full in sorted(exports(), key=lambda name: name.count(".")):
        path = full.split(".")[1:]
        for start in range(len(path)):
            text = ".".join(path[start:])
            if "." in text or "_" in text or text != text.lower():  # `linear` may be a word
                found.setdefault(text, _home(full))
    return found


def named(text: str) -> str | None:
    """The full name of what a text such as `bl.gates.Fixed(weights)` names."""
    return _by_text().get(text.partition("(")[0].removeprefix("blendloss.").removeprefix("bl."))

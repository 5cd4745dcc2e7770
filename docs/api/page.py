"""Builds the page of the Python API with pdoc, from the docstrings: `make docs`.

It shows what `palimpsest` exports, and nothing else: what one begins with first, the errors last. A warning of pdoc's
is an error: a name that does not resolve, an annotation that cannot be evaluated.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from pathlib import Path
from typing import Final

import jinja2
import msgspec
import pdoc
from markupsafe import Markup
from pdoc import doc, extract, render, render_helpers

import palimpsest

HERE: Final = Path(__file__).resolve().parent
OUT: Final = HERE.parents[1] / "build" / "docs"
FIRST: Final = ("boot", "join", "System", "Client", "newborn", "Settings", "Options", "DataFolder")
LONG: Final = 60
"""So many characters of a default are shown."""
_CLASSES: Final = [name for name in palimpsest.__all__ if name[0].isupper()]
_NAMED: Final = re.compile(rf"(?<![\w`.])({'|'.join(_CLASSES)})(?![\w`(])")
_IN_A_ROOM: Final = re.compile(r"`(?=(?:actors|console|events|questions|store)\.\w)")


class Shortened(str):
    """A default that is shown by its beginning."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(f"{self[:LONG]}…") if len(self) > LONG else super().__repr__()


def exported() -> doc.Module:
    """What the page shows. Names are imported when they are first named, and pdoc looks at what is there."""
    for name in palimpsest.__all__:
        setattr(palimpsest, name, getattr(palimpsest, name))
    palimpsest.__all__.sort(key=_place)
    return doc.Module(extract.load_module(palimpsest.__name__))


def _place(name: str) -> tuple[int, bool, str]:
    found = getattr(palimpsest, name)
    is_error = inspect.isclass(found) and issubclass(found, palimpsest.PalimpsestError)
    return FIRST.index(name) if name in FIRST else len(FIRST), is_error, name


def build(out: Path) -> list[str]:
    """Write the page into a folder; what pdoc warned of."""
    render.configure(
        docformat="markdown",
        show_source=False,
        search=False,
        footer_text=f"version {palimpsest.__version__}",
        template_directory=HERE,
    )
    render.env.filters |= {"to_markdown": _linked, "field_default": _default, "format_signature": _signature}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exported()
        pdoc.pdoc(palimpsest.__name__, output_directory=out)
    return [str(each.message) for each in caught]


@jinja2.pass_context
def _linked(context: jinja2.runtime.Context, docstring: str) -> str:
    """A docstring in Markdown: what is exported is named as code, so that pdoc links it; modules by full names."""
    named = _IN_A_ROOM.sub(f"`{palimpsest.__name__}.", _NAMED.sub(r"`\1`", docstring))
    return render_helpers.to_markdown_with_context(context, named)


def _default(variable: doc.Variable) -> str:
    """The default of a struct's field; "" where there is none."""
    found = getattr(palimpsest, variable.qualname.partition(".")[0], None)
    if not (inspect.isclass(found) and issubclass(found, msgspec.Struct)):
        return ""
    fields = {field.name: field for field in msgspec.structs.fields(found)}
    if variable.name not in fields or fields[variable.name].required:
        return ""
    field = fields[variable.name]
    return repr(field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory())


def _signature(signature: inspect.Signature, *, colon: bool) -> Markup:
    parameters = [
        each.replace(default=Shortened(each.default)) if isinstance(each.default, str) else each
        for each in signature.parameters.values()
    ]
    return render_helpers.format_signature(signature.replace(parameters=parameters), colon=colon)


def main() -> int:
    flaws = build(OUT)
    for flaw in flaws:
        print(flaw, file=sys.stderr)
    print(OUT / f"{palimpsest.__name__}.html")
    return bool(flaws)


if __name__ == "__main__":
    sys.exit(main())

"""HTML by elements, so that no text can be taken for markup.

Rules. (1) A `str` is a text, and is escaped; only `element` makes `Html`. (2) What would drive a reader (control
characters, overrides of the direction of writing) is shown as its number.
"""

from __future__ import annotations

from html import escape

from palimpsest.questions.texts import printable


class Html(str):
    """Markup, made of elements and escaped texts."""

    __slots__ = ()


def text(said: str) -> Html:
    """A text as markup that shows it."""
    return Html(escape(printable(said), quote=False))


def element(name: str, *inside: str, **attributes: str) -> Html:
    """An element with texts and elements in it. An attribute's name may end in _ (`class_`), one that is empty is left
    out."""
    given = "".join(f' {key.rstrip("_")}="{escape(printable(value))}"' for key, value in attributes.items() if value)
    return Html(f"<{name}{given}>{joined(*inside)}</{name}>")


def joined(*parts: str) -> Html:
    """Texts and elements, one after the other."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts))


def link(place: str, said: str) -> Html:
    """A link to a place of this page."""
    return element("a", said, href=f"#{place}")


def table(header: tuple[str, ...], rows: list[Html], **attributes: str) -> Html:
    """Rows, made by `row`, below a header."""
    head = element("thead", element("tr", *(element("th", each, scope="col") for each in header)))
    return element("table", head, element("tbody", *rows), **attributes)


def row(*cells: str, id: str = "", numbers: frozenset[int] = frozenset()) -> Html:
    """A row; the cells `numbers` are set to the right."""
    made = (element("td", each, class_="n" if at in numbers else "") for at, each in enumerate(cells))
    return element("tr", *made, id=id)


def details(summary: str, *inside: str, open: bool = False, id: str = "") -> Html:
    """What unfolds by a key or a click, without a script."""
    return element("details", element("summary", summary), *inside, open="open" if open else "", id=id)

"""A PDF's text, page by page. The only module that imports pypdfium2, which is not thread-safe.

Why PDFium: on two manuals of 36 and 17 pages it took 1.5 and 3 ms a page where pypdf took 29 and 17, and it joins the
words that a line's end had cut. A document that needs a password is refused; one with an empty one opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from palimpsest.events.errors import DocumentUnreadable
from palimpsest.store.documents.parts import Headings, TextPart, well_formed
from palimpsest.store.documents.running_lines import without_running_lines

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

_TAIL_BYTES: Final = 4096
_MOST_BOOKMARKS: Final = 20_000
_CUT_WORD: Final = "\ufffe"
"""What PDFium has in place of a hyphen and a line's end within a word."""


def pdf_parts(path: Path, notes: list[str]) -> Iterator[TextPart]:
    """A part for each page. Its heading is from the document's outline: the first on the page, else the last before."""
    document = _open(path)
    try:
        headings = _headings(document)
        heading, unread = "", []
        for page, text in enumerate(without_running_lines(_page_text(document, page) for page in range(len(document)))):
            starting, heading = headings.get(page, (heading, heading))
            if text is None:
                unread.append(str(page + 1))
            elif text:
                yield TextPart(text, page=page + 1, heading=starting)
        if unread:
            notes.append(f"Pages that could not be read, {len(unread)} in all: {', '.join(unread[:20])}.")
        if not _has_end(path):
            notes.append("The PDF has no end mark: it may be cut off, and pages may be missing.")
    finally:
        document.close()


def _open(path: Path) -> PdfDocument:
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        if _opens(path):  # the code is then that of an earlier file
            reason = "It is a PDF that has no pages. Leave it out, or save it anew and load that."
        elif code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            reason = "It is encrypted, and needs a password. Save it without one (qpdf --decrypt, say) and load that."
        elif code == pypdfium2.raw.FPDF_ERR_SECURITY:
            reason = "It is encrypted in a way that is not known here. Save it without encryption and load that."
        elif not _has_end(path):
            reason = "It is a PDF that is cut off: its end is missing. Get a whole copy and load that."
        else:
            reason = f"It is a damaged PDF ({error}). Open it in a viewer, save it anew, and load that."
        raise DocumentUnreadable(str(path), reason) from error


def _opens(path: Path) -> bool:
    """Whether PDFium opens it: pypdfium2 refuses also what opens and has no pages, with the last error there was."""
    import pypdfium2

    raw = pypdfium2.raw.FPDF_LoadDocument(f"{path}\0".encode("utf-8", "surrogateescape"), None)
    if raw:
        pypdfium2.raw.FPDF_CloseDocument(raw)
    return bool(raw)


def _has_end(path: Path) -> bool:
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _TAIL_BYTES))
        return b"%%EOF" in stream.read()


def _headings(document: PdfDocument) -> dict[int, tuple[str, str]]:
    """For each page on which an entry of the outline begins, the paths of the first and of the last of them."""
    headings, found = Headings(), dict[int, tuple[str, str]]()
    for bookmark in islice(document.get_toc(), _MOST_BOOKMARKS):
        headings.enter(bookmark.level, well_formed(bookmark.get_title()))
        destination = bookmark.get_dest()
        page = destination.get_index() if destination else None
        if page is not None:
            found[page] = (found.get(page, (headings.path,))[0], headings.path)
    return found


def _page_text(document: PdfDocument, number: int) -> str | None:
    """None if the page is damaged."""
    import pypdfium2

    try:
        page = document[number]
        try:
            text = page.get_textpage().get_text_range()
        finally:
            page.close()
    except pypdfium2.PdfiumError:
        return None
    return well_formed(text).replace("\r\n", "\n").replace(_CUT_WORD, "").replace("\0", "")

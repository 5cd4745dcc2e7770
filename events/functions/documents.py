"""Reading the documents of attached sources."""

from __future__ import annotations

from typing import Final

from palimpsest.events.functions.entry import PAGE, Function, Parameter

LIST_DOCUMENTS: Final = Function(
    name="list_documents",
    description="Lists the documents of the attached sources, with their sizes.",
    brief="List the attached documents.",
    parameters=(PAGE,),
    sources=True,
    carrier="documents",
    label="document",
)
OPEN_DOCUMENT: Final = Function(
    name="open_document",
    description="Opens a document and reads it page by page.",
    brief="Read a document by pages.",
    parameters=(
        Parameter("document", "string", "The document's path or id, as list_documents and searches show it."),
        Parameter("page", "integer", "Page to read, counted from 0: read on with the next one.", required=False),
        Parameter(
            "place",
            "string",
            "Instead of page: where to open it, as 'line 120' or, in a PDF, 'page 7'.",
            required=False,
            brief="'line 120' or 'page 7'",
        ),
    ),
    sources=True,
    carrier="documents",
    label="document",
    looks_in=frozenset({"documents"}),
)
GREP_DOCUMENTS: Final = Function(
    name="grep_documents",
    description="Finds every place where a text stands in the attached documents, word for word, in upper or lower "
    "case.",
    brief="Find a text word for word in the documents.",
    parameters=(
        Parameter("text", "string", "The text to find."),
        Parameter("document", "string", "Only in this document (path or id).", required=False),
        PAGE,
    ),
    sources=True,
    carrier="documents",
    label="document",
    looks_in=frozenset({"documents"}),
    finds="hits",
)

"""Files into passages: which files there are (`find`), what one is (`open_document`), and its text in pieces.

Rules. (1) A file's kind is told by its content; its name only decides between kinds of text. (2) Memory is bounded
whatever the file's size. (3) The same bytes give the same passages, and what cannot be read says why and what to do.
"""

from palimpsest.store.documents.document import OVERLAP_TOKENS, PASSAGE_TOKENS, DocumentFile, open_document
from palimpsest.store.documents.files import FoundFile, Refused, digest, find

__all__ = [
    "OVERLAP_TOKENS",
    "PASSAGE_TOKENS",
    "DocumentFile",
    "FoundFile",
    "Refused",
    "digest",
    "find",
    "open_document",
]

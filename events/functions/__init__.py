"""The functions of the model, an entry each, by families (`control`, `core_memory`, `recall`, `archival`, `timers`,
`documents`): what the model is told of it, who is given it, who carries it out, and how pages call it.

A new function is one entry in the catalogue, and the code that carries it out: for the kernel in the entry itself, for
storage in `store.library.functions`. `tests/events/test_function_entries.py` adds one.
"""

from palimpsest.events.functions.archival import ARCHIVAL_MEMORY_INSERT, ARCHIVAL_MEMORY_SEARCH
from palimpsest.events.functions.arguments import UNREAD, BadCall, arguments_of, check
from palimpsest.events.functions.catalogue import (
    Functions,
    all_functions,
    function_named,
    functions_of,
    given_by,
    longest_name,
    named,
    parameter_types,
    topic,
)
from palimpsest.events.functions.control import SEND_MESSAGE
from palimpsest.events.functions.core_memory import CORE_MEMORY_APPEND, CORE_MEMORY_REPLACE
from palimpsest.events.functions.documents import GREP_DOCUMENTS, LIST_DOCUMENTS, OPEN_DOCUMENT
from palimpsest.events.functions.entry import HEARTBEAT, PAGE, Call, Function, Invocation, Parameter
from palimpsest.events.functions.recall import CONVERSATION_SEARCH, CONVERSATION_SEARCH_DATE
from palimpsest.events.functions.schema import USUAL, Labels, schemas
from palimpsest.events.functions.timers import CANCEL_TIMER, LIST_TIMERS, SET_TIMER

__all__ = [
    "ARCHIVAL_MEMORY_INSERT",
    "ARCHIVAL_MEMORY_SEARCH",
    "CANCEL_TIMER",
    "CONVERSATION_SEARCH",
    "CONVERSATION_SEARCH_DATE",
    "CORE_MEMORY_APPEND",
    "CORE_MEMORY_REPLACE",
    "GREP_DOCUMENTS",
    "HEARTBEAT",
    "LIST_DOCUMENTS",
    "LIST_TIMERS",
    "OPEN_DOCUMENT",
    "PAGE",
    "SEND_MESSAGE",
    "SET_TIMER",
    "UNREAD",
    "USUAL",
    "BadCall",
    "Call",
    "Function",
    "Functions",
    "Invocation",
    "Labels",
    "Parameter",
    "all_functions",
    "arguments_of",
    "check",
    "function_named",
    "functions_of",
    "given_by",
    "longest_name",
    "named",
    "parameter_types",
    "schemas",
    "topic",
]

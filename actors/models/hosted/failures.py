"""Why a model gave no answer: what the world's servers say, sorted into the errors that `InferenceFailed` knows.

Rules. (1) A detail says what to do next. (2) A server's own words pass through `Scrubber` before anyone sees them.
(3) A prompt that is too long is told apart from every other refusal, whatever status it comes with: the agent can mend
that one itself.
"""

from __future__ import annotations

import email.utils
import html
import json
import math
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from palimpsest.actors.models.hosted.remedies import remedies
from palimpsest.events.vocabulary import NoAnswer

MAX_QUOTE_CHARS: Final = 300
BUSY: Final = frozenset({429, 503, 529})
"""The statuses of a server that has too much to do (529 is Anthropic's)."""
NO_REFUSAL: Final[frozenset[NoAnswer]] = frozenset({"overflow", "rate_limited", "wrong_key"})
UNTAKEN: Final = (
    "The server does not take messages of this form; `palimpsest format AGENT` shows the forms that there are."
)

_OVERFLOW: Final = re.compile(
    r"""context[ _]length[ _]exceeded | string_above_max_length | exceed_context_size
    | (maximum|max|available|allowed)\ (context|prompt|model|input)\ (length|size|window)
    | maximum\ (length|number\ of\ tokens)\ (of\ the\ model|allowed) | longer\ than\ the\ (maximum\ )?model
    | exceeds?\ (the\ |this\ |model'?s?\ |available\ |max(imum)?\ )*(context|limit\ of\ \d+\ tokens)
    | context\ (length|size|window|limit)\ (is|was|has\ been)?\ ?(exceeded|of\ only)
    | (reached|beyond|overflows?|than)\ (the\ |model'?s\ |maximum\ )*context\ (length|window|size)
    | context\ the\ overflows
    | (prompt|input|request|message)s?\ (is|are)?\ ?too\ (long|large) | too\ many\ (input\ |prompt\ )?tokens
    | reduce\ (the\ length\ of\ (the|your)|your\ prompt) | token\ count\ .{0,60}exceeds
    | inputs`?\ (tokens\ \+|must\ have\ less\ than)""",
    re.VERBOSE | re.IGNORECASE,
)
"""OpenAI, vLLM, SGLang, llama.cpp (and its Python server), Ollama, LM Studio, TGI, Anthropic, Groq, Together, Mistral,
Gemini, Cohere, Fireworks, xAI and Bedrock, each in its own words."""

_NO_MODEL: Final = re.compile(
    r"model_not_found|model not exist|not a valid model|(unknown|invalid|no such) model"
    r"|model.{0,120}(does not exist|not found|not exist|isn't loaded|not loaded|is not available)"
    r"|unable to access model",
    re.IGNORECASE | re.DOTALL,
)
_NO_PATH: Final = re.compile(
    r"(unexpected|unknown|no such|invalid) (endpoint|route|url|path)|endpoint .{0,40}not found|(route|page) not found"
    r"|cannot (post|get) /|method not allowed",
    re.IGNORECASE,
)
"""LM Studio says so with status 200 (lmstudio-ai/lmstudio-bug-tracker, "Unexpected endpoint or method")."""
_MEANS: Final = tuple(
    (status, re.compile(pattern, re.IGNORECASE))
    for status, pattern in (
        (404, _NO_PATH.pattern),
        (429, r"rate_?limit|too many requests"),
        (529, r"overloaded|at capacity|server is busy|try again later"),
        (401, r"authentication_error|invalid_api_key|unauthori[sz]ed|invalid api key"),
        (403, r"permission_error|permission_denied|forbidden"),
        (404, r"not_found_error|model_not_found"),
        (504, r"timeout_error|deadline exceeded"),
        (400, r"invalid_request_error|BadRequestError|validation error"),
    )
)
"""The status that an error's words mean where it comes with none of its own."""
_NO_CREDIT: Final = re.compile(r"insufficient_quota|current quota|insufficient (balance|credits?|funds)", re.IGNORECASE)


class Failure(msgspec.Struct, frozen=True):
    """One attempt that failed. `quote` is what the server said, not yet scrubbed; `detail` is ours.

    `again`: another attempt may succeed, not before `after_s` seconds where the server said so. `busy`: it is the
    server that cannot now, whoever asks. `mended_by`: parts of a context's format with which the server may take it, to
    be tried one after the other.
    """

    error: NoAnswer
    detail: str
    quote: str = ""
    again: bool = False
    after_s: float | None = None
    busy: bool = False
    mended_by: tuple[str, ...] = ()
    is_cut: bool = False
    """The connection was closed in the middle of an answer."""


class ServerWords(msgspec.Struct, frozen=True):
    """What a server said: its words, and its codes and types beside them."""

    text: str
    codes: str = ""


def from_response(status: int, headers: Mapping[str, str], body: bytes, *, now_s: float) -> Failure:
    """The failure in a response with an error status. `now_s`: seconds since 1970, for a Retry-After date."""
    failure = classify(status, _told(body))
    told_again = headers.get("x-should-retry", "")
    again = {"true": True, "false": False}.get(told_again, failure.again) and not failure.mended_by
    after_s = retry_after_s(headers, now_s)
    busy = again and (failure.busy or bool(after_s))
    return msgspec.structs.replace(failure, again=again, after_s=after_s, busy=busy)


def from_error(error: object) -> Failure:
    """The failure in an `error` field that came with status 200, as routers send it, or in the middle of a stream.

    Where neither a number nor a word says which kind it is, it is not asked again.
    """
    told = _words(error)
    status = _status_in(error, told)
    failure = classify(status or 500, told)
    quote = told.text or "(no message)"
    if not status and failure.error == "server_error":
        detail = "The server answered with an error: see what it said, and its log."
        return Failure("server_error", detail, quote)
    return msgspec.structs.replace(failure, quote=quote)


def from_text(said: bytes) -> Failure:
    """The failure in what a server sent in a stream's place, or as an error of it: JSON or plain text."""
    try:
        parsed = json.loads(said)
    except (ValueError, RecursionError):
        parsed = said.decode("utf-8", "replace")
    inner = parsed.get("error") if isinstance(parsed, dict) else None
    return from_error(inner or parsed)


def _status_in(error: object, told: ServerWords) -> int:
    """The status that an error means; 0: it does not say."""
    fields = error if isinstance(error, dict) else {}
    for name in ("code", "status", "status_code", "http_code"):
        value = fields.get(name)
        number = int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0
        if 400 <= number < 600:
            return number
    said = f"{told.codes} {told.text}"
    if _OVERFLOW.search(said):
        return 400
    return next((status for status, pattern in _MEANS if pattern.search(said)), 0)


def strange_body(body: bytes) -> Failure:
    """What is said of a body that is no chat completion."""
    start = body[:1000].decode("utf-8", "replace").strip("\ufeff \t\r\n")
    if start.startswith("<"):
        return Failure("bad_answer", "An HTML page came back: check that the base_url is an API's (it may end in /v1).")
    return Failure(
        "bad_answer",
        "What came back is no chat completion: check the base_url (does it end in /v1?).",
        start or "(nothing)",
    )


def cut_off(said: bytes = b"") -> Failure:
    """`said`: what came beside the answer, which may tell why."""
    detail = "The answer was cut off in the middle: check the server's log."
    return Failure("bad_answer", detail, said.decode("utf-8", "replace"), again=True, is_cut=True)


def classify(status: int, told: ServerWords) -> Failure:
    """Sort by what was said first, then by status."""
    said = f"{told.codes} {told.text}"
    error, detail, again = _sorted(status, said)
    quote = f"status {status}: {told.text or '(no message)'}"
    ladder = remedies(status, said) if error not in NO_REFUSAL else ()
    if ladder:
        return Failure("bad_request", UNTAKEN, quote, mended_by=ladder)
    return Failure(error, detail, quote, again, busy=again and status in BUSY)


def _sorted(status: int, said: str) -> tuple[NoAnswer, str, bool]:
    if status == 413 or (status in (400, 422, 429, 500) and _OVERFLOW.search(said)):
        return "overflow", "The request is longer than the model's context window.", False
    if status == 402 or _NO_CREDIT.search(said):
        return "rate_limited", "The account has no credit left: check its plan and billing.", False
    if status in (401, 403):
        return "wrong_key", "The key was refused: give the right one by `palimpsest keys add`.", False
    if status in (400, 404, 422) and _NO_MODEL.search(said):
        return "unknown_model", "The server has no such model: load it there, or change the agent's model.", False
    if status in (404, 405):
        return "bad_request", "There is no /chat/completions here: check the base_url (does it end in /v1?).", False
    if status == 429:
        return "rate_limited", "The server has too many requests: try later, or allow fewer calls in flight.", True
    if status in (408, 504):
        return "timeout", "The server gave up waiting: try again, or check its load.", True
    if status == 409 or status >= 500:
        return "server_error", "The server failed: try again later, or check its log.", status != 501
    return "bad_request", "The server refused the request: check the model's settings.", False


def _told(body: bytes) -> ServerWords:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        return ServerWords("(an HTML page)" if text.startswith("<") else text)
    parsed = parsed[0] if isinstance(parsed, list) and parsed else parsed
    inner = parsed.get("error") if isinstance(parsed, dict) else None
    return _words(inner or parsed)


def _words(error: object) -> ServerWords:
    if not isinstance(error, dict):
        return ServerWords(str(error))
    fields: dict[str, Any] = error
    text = next((fields[name] for name in ("message", "detail", "error", "msg") if fields.get(name)), fields)
    codes = " ".join(str(fields[name]) for name in ("code", "type") if fields.get(name))
    return ServerWords(text if isinstance(text, str) else json.dumps(text), codes)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """When to come back, in seconds: from `retry-after-ms`, or `retry-after` as seconds or as a date."""
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            after_s = float(headers.get(name, "")) / divisor
        except ValueError:
            continue
        return after_s if math.isfinite(after_s) and after_s >= 0 else None
    try:
        when = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, when.timestamp() - now_s)


class Scrubber:
    """Takes secrets out of a text, and makes it one short line.

    A secret is found as it is, as JSON, URLs and HTML write it, and by its first eight characters, since servers like
    to quote a key shortened.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= 4}
        forms = {form for secret in known for form in _forms(secret)}
        patterns = [re.escape(form) for form in sorted(forms, key=len, reverse=True)]
        patterns += [re.escape(secret[:8]) + r"[^\s\"',}]*" for secret in sorted(known) if len(secret) >= 12]
        patterns += [r"\bsk-[\w*.-]{4,}", r"(?<=bearer )[^\s\"',}]+"]
        self._pattern = re.compile("|".join(patterns), re.IGNORECASE)

    def clean(self, text: str) -> str:
        """Scrubbed before it is cut, so that no half of a secret is left at the end."""
        line = " ".join(self._pattern.sub("[removed]", text).split())
        return line if len(line) <= MAX_QUOTE_CHARS else line[:MAX_QUOTE_CHARS] + "…"


def _forms(secret: str) -> set[str]:
    return {secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret), html.escape(secret)}

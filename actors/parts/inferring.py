"""One inference, from the bytes of its request to the event of its answer: for the LLM processor, and for a rerun.

Rules. (1) What is sent is what was asked for, byte for byte, or nothing is. (2) Whatever a model's code does, there is
an event that says so. (3) An unforeseen error's text goes nowhere: nobody has looked for a key in it.
"""

from __future__ import annotations

import asyncio
import traceback
from math import ceil
from typing import Any, Final

from msgspec.structs import replace

from palimpsest.actors.models.hosted.remedies import next_step
from palimpsest.actors.models.protocol import Answer, Model, ModelFailed, OnPiece, Terms, Tokenizer
from palimpsest.actors.models.repair import repair
from palimpsest.events.codec import encode
from palimpsest.events.counting import compared
from palimpsest.events.inference import Job, sent
from palimpsest.events.types import Counted, InferenceCompleted, InferenceFailed, Usage
from palimpsest.store.tokens.counting import count

DIFFERS: Final = (
    "The request rendered from the log was not the one that was asked for, so it was not sent. Send the message again; "
    "if this happens twice, report it with `replay --verify`."
)


async def infer(
    job: Job, model: Model, logger: Any, on_piece: OnPiece | None = None, tokenizer: Tokenizer | None = None
) -> InferenceCompleted | InferenceFailed:
    """Carry out an inference; `logger` is structlog's, `tokenizer` what counts where the agent's server does."""
    handed = sent(job)
    counting = Counting(job, tokenizer)
    started = asyncio.get_running_loop().time()
    try:
        if handed != job.asked:
            logger.error("context differs from the one asked for", agent=job.agent, key=job.key)
            raise ModelFailed("bad_request", DIFFERS)
        came = await model.complete(
            job.request, base_url=job.base_url, on_piece=on_piece, terms=terms_of(job, counting)
        )
        came = replace(came, usage=counted(came, job, counting.found))
        took_ms = int((asyncio.get_running_loop().time() - started) * 1000)
        made = replace(completed(came, handed, took_ms), counted=counting.found)
        if came.own and job.purpose == "reply":
            made = replace(made, own=replace(came.own, server=job.base_url, model=job.model))
        encode(made)  # what cannot be written breaks here
    except ModelFailed as error:
        detail = in_part(job, error.detail)
        logger.warning("inference failed", agent=job.agent, error=error.error, detail=detail)
        mended_by = next_step(error.mended_by, job.format)
        return InferenceFailed(
            error=error.error,
            detail=detail,
            sent=b"" if isinstance(error, TooLong) else handed,
            attempts=error.attempts,
            mended_by=mended_by,
            counted=counting.found,
        )
    except Exception as error:  # noqa: BLE001 - whatever a model's code does, the turn must not wait for ever
        where = traceback.format_tb(error.__traceback__)[-1].strip()
        logger.error("inference broke", agent=job.agent, error=type(error).__name__, where=where)
        detail = f"Its answer could not be worked with ({type(error).__name__}): try another model, or report this."
        return InferenceFailed(error="bad_answer", detail=in_part(job, detail), sent=handed)
    return made


class TooLong(ModelFailed):
    """A request that was not sent."""


class Counting:
    """Has the server count a job's request before it is sent there, where it does; `found` is what it said."""

    def __init__(self, job: Job, tokenizer: Tokenizer | None) -> None:
        self._job = job
        self._tokenizer = tokenizer
        self.found: Counted | None = None

    async def __call__(self) -> None:
        """Raises TooLong."""
        job = self._job
        if self._tokenizer is None or not job.parts:
            return
        texts = [text for part in job.parts for text in part.texts]
        counts = await self._tokenizer.counts(job.encoding, job.base_url, job.model, texts)
        self.found = compared(job.parts, counts, job.held_tokens)
        tokens = ceil(self.found.tokens * job.margin) if self.found else 0
        if tokens > job.budget_tokens:
            raise TooLong("overflow", _TOO_LONG.format(tokens=tokens, budget=job.budget_tokens), attempts=0)


_TOO_LONG: Final = (
    "By the server's own count the context has {tokens:,} tokens, and the window has room for {budget:,}, so it was "
    "not sent. Give the agent a larger window (--window), or less core memory."
)


def in_part(job: Job, detail: str) -> str:
    """What failed, where it is not the model that the user talks with."""
    return f"The summariser ({job.model}): {detail}" if job.purpose == "summary" else detail


def terms_of(job: Job, before: Counting) -> Terms:
    return Terms(
        agent=job.agent,
        in_flight=job.in_flight,
        timeout_s=job.timeout_s,
        idle_s=job.idle_s,
        elsewhere=job.elsewhere,
        plain=job.plain,
        headers=job.headers,
        before=before,
    )


def completed(came: Answer, handed: bytes, took_ms: int) -> InferenceCompleted:
    """A model's answer as an event, its calls' arguments repaired where that can be done."""
    return InferenceCompleted(
        content=came.content,
        calls=tuple(repair(call) for call in came.calls),
        finish=came.finish,
        model=came.model,
        usage=came.usage,
        sent=handed,
        duration_ms=took_ms,
        reasoning=came.reasoning,
        notes=came.notes,
    )


def counted(came: Answer, job: Job, before: Counted | None = None) -> Usage:
    """What an answer took: by the server's own count, or by ours where it has none. `before`: what it counted of the
    request before that was sent."""
    usage = came.usage
    if usage.prompt and (usage.completion or not (came.content or came.calls)):
        return usage
    text = "".join((came.reasoning, came.content, *(call.name + call.arguments for call in came.calls)))
    completion = usage.completion or count(job.encoding, text)
    prompt = usage.prompt or (before.tokens if before else job.tokens)
    return Usage(prompt=prompt, completion=completion, cached=usage.cached, estimated=True)

"""The model behind any server that speaks OpenAI's chat-completions protocol. The only module that imports openai.

Rules. (1) The bytes that were asked for are the bytes that are sent: they go through the client as they are, never
decoded and encoded again (streaming appends its two options). (2) Whatever goes wrong is a `ModelFailed` that says what
to do, and holds no key and no header. (3) Nothing is asked again once an answer has begun to stream; a stream with
nothing in it is asked for once more whole, since some servers say only then what is wrong. (4) With a request goes what
`store.keys.keys` has for its server, and nothing that the client would find by itself in the environment; it goes to
that server alone, whatever it redirects to.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NamedTuple, cast

import anyio
import httpx2
import msgspec
import openai

from palimpsest.actors.models.hosted.failures import Failure, Scrubber, from_response
from palimpsest.actors.models.hosted.lost import WRITE_HTTPS, has_sound_proxy, lost, proxy_of, wants_tls, wrong_scheme
from palimpsest.actors.models.hosted.reading import BodyReader
from palimpsest.actors.models.hosted.servers import (
    Redirected,
    arrived_elsewhere,
    headers_for,
    options_for,
    stay,
    wrong_key,
)
from palimpsest.actors.models.hosted.slots import IN_FLIGHT, Slots
from palimpsest.actors.models.hosted.transport import Direct, goes_direct
from palimpsest.actors.models.hosted.waiting import AT_SERVER, FIRST_S, IN_LINE, TO_ASK, Waiting
from palimpsest.actors.models.protocol import USUAL, Answer, ModelFailed, OnPiece, Terms
from palimpsest.events.addresses import OPENAI_URL, address_of, credentials_in, endpoint, is_openai, public_url
from palimpsest.events.errors import BadInput
from palimpsest.store.keys.files import Handed, LiveKeys
from palimpsest.store.keys.keys import Access

STREAM_OPTIONS: Final = b',"stream":true,"stream_options":{"include_usage":true}}'
STREAM_ONLY: Final = b',"stream":true}'
LONGEST_WAIT_S: Final = 120.0
"""A server that asks for a longer pause is not waited for."""
_PATH: Final = "/chat/completions"
_FIRST_WAIT_S: Final = 0.5
_LAST_WAIT_S: Final = 8.0
_DRAIN_S: Final = 1.0
_HUNG_UP: Final = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.ConnectError)
_OF_PROXIES: Final = frozenset({403, 407, 502, 503, 504})
_PUBLIC_HEADERS: Final = ("accept", "connection", "content-", "host", "user-agent", "x-stainless-")


class OpenAIModel:
    """One client a server, shared by all agents. `keys` has what goes along to each.

    `timeout_s` bounds each attempt as a whole (not the wait for a slot), `idle_s` the pause between two pieces of a
    stream, `max_in_flight` the attempts at one server at once, where an agent's terms say nothing else. `max_retries`
    attempts follow a failure that may pass. After `told_s` of silence whoever watches is told so. `sleep` and `jitter`
    (0 to 1) are there to be replaced in tests.
    """

    def __init__(
        self,
        *,
        keys: LiveKeys | None = None,
        base_url: str = "",
        timeout_s: float = 600.0,
        idle_s: float = 120.0,
        connect_timeout_s: float = 10.0,
        max_retries: int = 4,
        max_in_flight: int = IN_FLIGHT,
        told_s: float = FIRST_S,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._keys = keys or LiveKeys(Handed())
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._told_s = told_s
        self._connect_timeout_s = connect_timeout_s
        self._max_retries = max_retries
        self._max_in_flight = max_in_flight
        self._sleep = sleep
        self._jitter = jitter
        self._slots = Slots(max_in_flight)
        self._http: dict[bool, httpx2.AsyncClient] = {}
        self._clients: dict[str, tuple[Access, openai.AsyncOpenAI]] = {}
        self._without_usage: set[str] = set()  # servers that refuse `stream_options`
        self._secrets: set[str] = set()
        """What the client sent besides: headers of its own."""

    async def complete(
        self, request: bytes, *, base_url: str = "", on_piece: OnPiece | None = None, terms: Terms = USUAL
    ) -> Answer:
        """Answer a request. See `Model`."""
        url = base_url or self._base_url or OPENAI_URL
        attempt = 0
        refusals = self._slots.line(url).refusals
        outcome: Answer | Failure | None = self._objection(url)
        waiting = Waiting(on_piece, self._told_s)
        try:
            while outcome is None:
                attempt += 1
                outcome = await self._in_turn(_Outgoing(url, request, on_piece, terms, waiting, refusals), attempt)
        finally:
            waiting.close()
        if isinstance(outcome, Answer):
            return outcome
        raise ModelFailed(outcome.error, self._detail(outcome, url), max(1, attempt), mended_by=outcome.mended_by)

    def figures(self) -> dict[str, Any]:
        """By server: what runs there, and what waits for it."""
        return self._slots.figures()

    async def _in_turn(self, asked: _Outgoing, attempt: int) -> Answer | Failure | None:
        """One attempt, once the server has a slot for it. None: the next one may be made; what it waits for is over."""
        line = self._slots.line(asked.url)
        asked.waiting.doing = IN_LINE
        await self._slots.enter(line, asked.terms.agent, asked.terms.in_flight)
        rests = False
        try:
            if line.refused_since(asked.refusals) > self._max_retries:
                return _busy(self._max_retries + 1)
            now = line.refusals
            if asked.terms.before and attempt == 1:
                await asked.terms.before()
            asked.waiting.doing = AT_SERVER
            result = await self._attempt(asked)
            wait_s = self._wait_s(result, attempt, asked.terms)
            rests = isinstance(result, Failure) and result.busy
            if rests:
                line.rest(now)  # before the slot is free: nobody slips in
            else:
                line.took()
        finally:
            self._slots.leave(line)
        try:
            if wait_s is not None:
                asked.waiting.doing = TO_ASK
                await self._sleep(wait_s)
        finally:
            if rests:
                self._slots.rested(line)
        return result if wait_s is None else None

    async def aclose(self) -> None:
        self._clients.clear()
        for client in self._http.values():
            await client.aclose()
        self._http.clear()

    def _objection(self, url: str) -> Failure | None:
        """What can be said before anything is sent."""
        address = address_of(url)
        if address is None:
            detail = "The base_url must begin with http:// or https:// and name a host (its port is at most 65,535)."
            return Failure("unreachable", detail)
        try:
            access, refusal = self._keys.access(url)
        except BadInput as error:
            return Failure("wrong_key", str(error))
        if refusal:
            return Failure("not_allowed", refusal)
        if not access.has_key and is_openai(address):
            return wrong_key(url, access, asked=False)
        if not all(secret.isascii() and secret.isprintable() for secret in access.secrets()):
            return Failure("wrong_key", f"{access.whence} holds characters that HTTP cannot carry: set it anew.")
        return None

    def _wait_s(self, result: Answer | Failure, attempt: int, terms: Terms) -> float | None:
        """How long to wait before the next attempt; None: there is none."""
        if isinstance(result, Answer) or not result.again or attempt > self._max_retries:
            return None
        if terms.elsewhere and result.error == "timeout":
            return None
        if result.after_s is not None:
            return None if result.after_s > LONGEST_WAIT_S else result.after_s * (1 + 0.1 * self._jitter())
        backoff_s = min(_FIRST_WAIT_S * 2.0 ** (attempt - 1), _LAST_WAIT_S)
        return backoff_s * (1 - 0.25 * self._jitter())

    def _detail(self, failure: Failure, url: str) -> str:
        scrubber = Scrubber(self._secrets | self._keys.secrets() | credentials_in(url))
        when = f" It asks to come back in {failure.after_s:.0f} s." if failure.after_s else ""
        quote = f" It said: {scrubber.clean(failure.quote)}" if failure.quote else ""
        return f"{public_url(url)}: {failure.detail}{when}{quote}"

    async def _attempt(self, asked: _Outgoing) -> Answer | Failure:
        timeout_s = asked.terms.timeout_s or self._timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await (self._whole(asked) if asked.on_piece is None else self._stream(asked))
        except (TimeoutError, openai.APITimeoutError) as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                return await wrong_scheme(asked.url) or lost(error.__cause__, asked.url)
            detail = f"No answer within {timeout_s:g} s: check the server's load, or allow more time."
            return Failure("timeout", detail, again=True)
        except openai.APIStatusError as error:
            return self._refused(asked.url, error, streaming=asked.on_piece is not None)
        except _BadProxy as error:
            return Failure("unreachable", f"No connection by way of {error}")
        except openai.APIConnectionError as error:
            self._note_secrets(error.request)
            cause = error.__cause__ or error
            if isinstance(cause, Redirected):
                return arrived_elsewhere(cause)
            mistaken = await wrong_scheme(asked.url) if isinstance(cause, _HUNG_UP) else None
            return mistaken or lost(cause, asked.url)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> httpx2.Response:
        """Through the client as bytes, which costs a seventh of its typed `create`; the response comes unread."""
        access, client = self._client(url)
        where, how = endpoint(url, _PATH), options_for(access, openai.omit, headers)
        # Asked for as a stream, the client hands out the unread response; no stream of this type is ever made.
        unread: object = await client.post(
            where,
            cast_to=httpx2.Response,
            content=body,
            options=how,
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        return cast(httpx2.Response, unread)

    async def _whole(self, asked: _Outgoing) -> Answer | Failure:
        response = await self._post(asked.url, asked.request, asked.terms.headers)
        try:
            return await read(response, BodyReader(asked.on_piece, plain=asked.terms.plain), asked.url)
        finally:
            await response.aclose()

    async def _stream(self, asked: _Outgoing) -> Answer | Failure:
        """A stream; where nothing is in it, the whole answer, which says why."""
        options = STREAM_ONLY if asked.url in self._without_usage else STREAM_OPTIONS
        reading = BodyReader(asked.on_piece, plain=asked.terms.plain)
        response = await self._post(asked.url, asked.request.rstrip()[:-1] + options, asked.terms.headers)
        try:
            idle_s = asked.terms.idle_s or self._idle_s
            came = await read(response, reading, asked.url, idle_s=idle_s, on_data=asked.waiting.came)
        finally:
            await response.aclose()
        return await self._whole(asked) if reading.is_bare else came

    def _refused(self, url: str, error: openai.APIStatusError, *, streaming: bool) -> Failure:
        self._note_secrets(error.request)
        failure = from_response(error.status_code, error.response.headers, error.response.content, now_s=time.time())
        if failure.error == "wrong_key":
            return wrong_key(url, self._keys.access(url)[0], quote=failure.quote)
        if error.status_code in _OF_PROXIES and (proxy := proxy_of(url)):
            detail = f"{failure.detail} It came by way of {proxy}"
            failure = msgspec.structs.replace(failure, detail=detail)
        if error.status_code == 400 and wants_tls(failure.quote + error.response.text[:1000]):
            return Failure("unreachable", WRITE_HTTPS, failure.quote)
        if streaming and "stream_options" in failure.quote and url not in self._without_usage:
            self._without_usage.add(url)
            return msgspec.structs.replace(failure, again=True, after_s=0.0)
        return failure

    def _note_secrets(self, request: httpx2.Request) -> None:
        """The client adds headers of its own, from the environment too: none of those is shown either."""
        sent = request.headers.items()
        self._secrets |= {value for name, value in sent if not name.lower().startswith(_PUBLIC_HEADERS)}

    def _client(self, url: str) -> tuple[Access, openai.AsyncOpenAI]:
        """A server's client, and what goes along: another one where that has changed."""
        access, _ = self._keys.access(url)
        known = self._clients.get(url)
        if known is None or known[0] != access:
            # Each attempt has its limit as a whole, which its agent may set.
            timeout = httpx2.Timeout(None, connect=min(self._connect_timeout_s, self._timeout_s))
            client = openai.AsyncOpenAI(
                api_key=access.key or "none",
                admin_api_key="",
                base_url=public_url(url),
                default_headers=headers_for(access, openai.omit),
                timeout=timeout,
                max_retries=0,
                http_client=self._http_client(url, timeout),
            )
            known = self._clients[url] = access, client
        return known

    def _http_client(self, url: str, timeout: httpx2.Timeout) -> httpx2.AsyncClient:
        """By aiohttp, unless there is a proxy on the way."""
        direct = goes_direct(url)
        client = self._http.get(direct)
        if client is None:
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=self._max_in_flight)
            if not direct and not has_sound_proxy(url):
                raise _BadProxy(proxy_of(url))
            try:
                client = Direct(timeout) if direct else openai.DefaultAsyncHttpxClient(timeout=timeout, limits=limits)
            except (ValueError, ImportError, httpx2.InvalidURL) as error:
                raise _BadProxy(proxy_of(url) or "the proxy of the environment.") from error
            client.event_hooks = {"request": [stay]}
            self._http[direct] = client
        return client


class _BadProxy(Exception):
    """A proxy's address that is none."""


class _Outgoing(NamedTuple):
    """A request on its way to a server."""

    url: str
    request: bytes
    on_piece: OnPiece | None
    terms: Terms
    waiting: Waiting
    refusals: int
    """Those of the server when the request came: others' are its own too."""


async def read(
    response: httpx2.Response,
    reading: BodyReader,
    url: str,
    *,
    idle_s: float = 0.0,
    on_data: Callable[[], None] = lambda: None,
) -> Answer | Failure:
    """Read a response to its end, pausing at most `idle_s` seconds after its first bytes (0: as long as it takes). A
    failure after an answer has begun is final where it streams: the user may have seen it."""
    failure: Failure | None = None
    try:
        async with asyncio.timeout(None) as idle:
            data = response.aiter_bytes()
            failure = await _fed(data, reading, idle, idle_s, on_data)
            if failure is None and reading.is_over:
                await _drain(data)
    except (TimeoutError, httpx2.TimeoutException) as error:
        if not (isinstance(error, httpx2.TimeoutException) or idle.expired()):
            raise
        within = f" for {idle_s:g} s" if idle_s else ""
        failure = Failure("timeout", f"The answer stopped coming{within}: check the server's load.", again=True)
    except (httpx2.RequestError, anyio.EndOfStream, OSError) as error:
        failure = lost(error, url)
    if failure is None or reading.is_complete:
        return reading.end()
    if failure.is_cut and (whole := reading.salvaged()):
        return whole
    return msgspec.structs.replace(failure, again=failure.again and not reading.is_begun)


async def _fed(
    data: AsyncIterator[bytes],
    reading: BodyReader,
    idle: asyncio.Timeout,
    idle_s: float,
    on_data: Callable[[], None],
) -> Failure | None:
    clock = asyncio.get_running_loop().time
    async for received in data:
        before = reading.came
        if failure := reading.feed(received):
            return failure
        if reading.is_over:
            return None
        if reading.came != before:
            on_data()
        if idle_s:
            idle.reschedule(clock() + idle_s)
    return None


async def _drain(data: AsyncIterator[bytes]) -> None:
    """Read on to the response's end, so that the connection can be used again; a server that never ends it may not."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            async for _ in data:
                pass
    except TimeoutError:
        return


def _busy(times: int) -> Failure:
    detail = (
        f"The server was too busy {times} times in a row, whoever asked: try later, or allow fewer calls in flight."
    )
    return Failure("rate_limited", detail)

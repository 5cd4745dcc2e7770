"""How requests to model servers travel: httpx2's client, as openai wants it, on aiohttp. The only module with aiohttp.

httpx2's own pool looks at every connection for every request, which with 200 in flight costs more than all the rest;
aiohttp looks at the one that it takes.

Rules. (1) What goes out and what comes back is what httpx2 would send and give: the same headers, bytes and errors.
(2) Where the environment names a proxy for a server, httpx2 goes there by itself: it knows all kinds of them.
(3) What is the same for all requests to a server is made once.
"""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import httpx2

KEEPALIVE_S: Final = 5.0
MADE: Final = 256
"""Requests that differ in more than their body: so many are remembered."""
STREAMED: Final = "text/event-stream"
MOST_AT_ONCE: Final = 4_000_000
"""A body of more bytes comes piece by piece, whatever its length: who reads it has a bound."""
MOST_OF_AN_ERROR: Final = 1_000_000


def goes_direct(url: str) -> bool:
    """Whether the environment names no proxy for this server."""
    proxies = urllib.request.getproxies()
    if not any(proxies.get(scheme) for scheme in ("http", "https", "all")):
        return True
    return bool(urllib.request.proxy_bypass(urlsplit(url).hostname or ""))


class Direct(httpx2.AsyncClient):
    """An httpx2 client that goes directly to its servers, by aiohttp."""

    def __init__(self, timeout: httpx2.Timeout) -> None:
        super().__init__(timeout=timeout, follow_redirects=True, transport=AiohttpTransport())
        self._timeout_of_all = timeout
        self._made: dict[tuple[Any, ...], httpx2.Request] = {}

    def build_request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Request:
        """As httpx2 builds it. Where nothing but the body differs from one before, the rest is that one's."""
        content, headers, timeout = given.pop("content", None), given.pop("headers", None), given.pop("timeout", None)
        is_plain = isinstance(content, bytes) and isinstance(headers, list) and timeout == self._timeout_of_all
        if not is_plain or any(given.values()) or len(self.cookies.jar):
            return super().build_request(method, url, content=content, headers=headers, timeout=timeout, **given)
        alike = (method, url, *headers)
        made = self._made.get(alike)
        if made is None:
            made = super().build_request(method, url, content=content, headers=headers, timeout=timeout)
            if len(self._made) >= MADE:
                self._made.clear()
            self._made[alike] = made
        body = httpx2.ByteStream(content)
        request = httpx2.Request(method, made.url, headers=made.headers, stream=body, extensions=made.extensions)
        request.headers["Content-Length"] = str(len(content))
        return request


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """One pool of connections, without a bound of its own. A body whose length was told comes whole, others piece by
    piece."""

    def __init__(self) -> None:
        self._tls = httpx2.create_ssl_context()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._session is None:
            self._session = _session(self._tls)
        limits = request.extensions.get("timeout", {})
        timeout = aiohttp.ClientTimeout(sock_connect=limits.get("connect"), sock_read=limits.get("read"))
        # Credentials in it are a header already.
        url = request.url.copy_with(userinfo=b"") if request.url.userinfo else request.url
        with _as_httpx2(request):
            response = await self._session.request(
                request.method,
                str(url),
                headers=[(name.decode(), value.decode("latin-1")) for name, value in request.headers.raw],
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=timeout,
            )
            length = response.content_length
            if length is None or length > MOST_AT_ONCE or response.content_type == STREAMED:
                return _response(request, response, stream=_BodyStream(request, response))
            return _response(request, response, content=await response.read())

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class _BodyStream(httpx2.AsyncByteStream):
    """A body as it comes."""

    def __init__(self, request: httpx2.Request, response: aiohttp.ClientResponse) -> None:
        self._request = request
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_OF_AN_ERROR if self._response.status >= 400 else None
        with _as_httpx2(self._request):
            async for data in self._response.content.iter_any():
                yield data
                if left is not None and (left := left - len(data)) < 0:
                    return

    async def aclose(self) -> None:
        self._response.release()  # the connection is kept where all was read, and closed where something is left


def _session(tls: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls, keepalive_timeout=KEEPALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),  # httpx2 has one
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )


def _response(request: httpx2.Request, response: aiohttp.ClientResponse, **body: Any) -> httpx2.Response:
    extensions = {"http_version": b"HTTP/1.1", "reason_phrase": (response.reason or "").encode()}
    return httpx2.Response(
        response.status, headers=response.raw_headers, request=request, extensions=extensions, **body
    )


@contextlib.contextmanager
def _as_httpx2(request: httpx2.Request) -> Iterator[None]:
    """Raise aiohttp's errors as httpx2 names them."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(str(error), request=request) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error), request=request) from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout(str(error), request=request) from error
    except aiohttp.ClientPayloadError as error:
        text = f"peer closed connection without sending complete message body ({error})"
        raise httpx2.RemoteProtocolError(text, request=request) from error
    except aiohttp.ServerDisconnectedError as error:  # its own text may hold half a response
        text = "Server disconnected without sending a response."
        raise httpx2.RemoteProtocolError(text, request=request) from error
    except aiohttp.ClientResponseError as error:
        raise httpx2.RemoteProtocolError(error.message, request=request) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise httpx2.UnsupportedProtocol(type(error).__name__, request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.ReadError(str(error), request=request) from error

"""Connections that failed, before an answer or in the middle of one: what was wrong, and what to do about it.

Rule: what asking again cannot mend (a certificate, the wrong scheme, an address that is none) is not asked again.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import urllib.parse
import urllib.request
from typing import Final

import httpx2

from palimpsest.actors.models.hosted.failures import Failure, cut_off

_CERTIFICATES: Final = (
    (
        re.compile(r"hostname mismatch|not valid for|doesn't match|IP address mismatch", re.IGNORECASE),
        "The server's certificate is for another name: write that name in the base_url.",
    ),
    (
        re.compile(r"certificate has expired|not yet valid", re.IGNORECASE),
        "The server's certificate is out of date: renew it there.",
    ),
    (
        re.compile(
            r"certificate.verify.failed|self.signed|unable to get (local )?issuer|CertificateError", re.IGNORECASE
        ),
        "The server's certificate is not trusted: set SSL_CERT_FILE to a PEM file that has it, or its authority's.",
    ),
)
_NO_TLS: Final = re.compile(r"WRONG_VERSION|wrong version number|record layer failure|HTTP_REQUEST", re.IGNORECASE)
_TLS_THERE: Final = re.compile(r"\\x15\\x03|\x15\x03|HTTP request (was sent )?to (an )?HTTPS", re.IGNORECASE)
WRITE_HTTP: Final = "The server speaks no TLS on this port: write http:// in the base_url."
WRITE_HTTPS: Final = "The server wants TLS on this port: write https:// in the base_url."
LOOK_S: Final = 3.0
_BY_SCHEME: Final = {"http": ("HTTP_PROXY", "ALL_PROXY"), "https": ("HTTPS_PROXY", "ALL_PROXY")}


def lost(cause: BaseException, url: str) -> Failure:
    """The failure of a connection to this base_url."""
    reason = str(cause) or type(cause).__name__
    if isinstance(cause, httpx2.RemoteProtocolError) and "complete message body" in reason:
        return cut_off()
    said = f"{reason} {cause.__cause__ or ''}"
    for pattern, detail in _CERTIFICATES:
        if pattern.search(said):
            return Failure("unreachable", detail, reason)
    if url.startswith("https") and _NO_TLS.search(said):
        return Failure("unreachable", WRITE_HTTP, reason)
    if url.startswith("http:") and _TLS_THERE.search(said):
        return Failure("unreachable", WRITE_HTTPS, reason)
    if proxy := proxy_of(url):
        is_there = not isinstance(cause, (httpx2.ConnectError, httpx2.UnsupportedProtocol))
        return Failure("unreachable", f"No connection by way of {proxy}", reason, again=is_there)
    detail = "No connection: check that the model server runs there, and that the base_url is right."
    return Failure("unreachable", detail, reason, again=not isinstance(cause, httpx2.UnsupportedProtocol))


async def wrong_scheme(url: str) -> Failure | None:
    """What is said where a server hangs up, or hangs, since it was asked with TLS and has none, or the reverse. It is
    looked at: a connection is made, and nothing is sent."""
    parts = urllib.parse.urlsplit(url)
    if proxy_of(url) or not parts.hostname:
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not await _connects(parts.hostname, port, tls=False):
        return None
    has_tls = await _connects(parts.hostname, port, tls=True)
    if has_tls == (parts.scheme == "https"):
        return None
    return Failure("unreachable", WRITE_HTTPS if has_tls else WRITE_HTTP)


async def _connects(host: str, port: int, *, tls: bool) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if tls else None
    if context is not None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(LOOK_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):  # what TLS raises is an OSError too
        return False
    writer.transport.abort()
    return True


def wants_tls(said: str) -> bool:
    """Whether a server refused a request since it came without TLS."""
    return _TLS_THERE.search(said) is not None


def has_sound_proxy(url: str) -> bool:
    """Whether the proxies that the environment names for this scheme have addresses that can be asked."""
    proxies = urllib.request.getproxies()
    scheme = urllib.parse.urlsplit(url).scheme
    try:
        return all(urllib.parse.urlsplit(proxies.get(name, "")).port != 0 for name in (scheme, "all"))
    except ValueError:
        return False


def proxy_of(url: str) -> str:
    """The proxy on the way to a server, as a clause that says what to do; "" where there is none."""
    parts = urllib.parse.urlsplit(url)
    proxies = urllib.request.getproxies()
    name = next((name for name in _BY_SCHEME.get(parts.scheme, ()) if proxies.get(name[: -len("_PROXY")].lower())), "")
    if not name or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    place = proxies[name[: -len("_PROXY")].lower()].rpartition("@")[2].partition("://")
    shown = (place[2] or place[0]).split("/")[0]
    return f"the proxy {shown} (from {name}): check it, or set NO_PROXY={parts.hostname} to go past it."

"""actors/models/hosted/failures.py: what servers say, sorted; and nothing secret left in it."""

from __future__ import annotations

import email.utils
import json

import pytest

from palimpsest.actors.models.hosted.failures import Failure, Scrubber, from_error, from_response, retry_after_s

NOW_S = 1_700_000_000.0


def sort(status: int, body: object, headers: dict[str, str] | None = None) -> Failure:
    data = body if isinstance(body, str) else json.dumps(body)
    return from_response(status, headers or {}, data.encode(), now_s=NOW_S)


OVERFLOWS = [
    (400, {"error": {"message": "too much", "code": "context_length_exceeded"}}),
    (400, {"error": {"message": "This model's maximum context length is 8192 tokens. However, your messages..."}}),
    (400, {"error": {"message": "Your input exceeds the context window of this model."}}),
    (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400}),
    (400, {"message": "The decoder prompt (length 9) is longer than the maximum model length of 8."}),
    (400, {"error": {"message": "The input (9 tokens) is longer than the model's context length (8 tokens)."}}),
    (400, {"error": {"code": 400, "message": "the request exceeds the available context size, try increasing it"}}),
    (400, {"error": {"message": "x", "type": "exceed_context_size_error"}}),
    (500, {"error": {"message": "Requested tokens (5000) exceed context window of 4096"}}),
    (400, {"error": "prompt too long; exceeded max context length by 9 tokens"}),
    (400, {"error": "Reached context length of 4096 tokens with this model"}),
    (400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length."}),
    (400, {"error": "Trying to keep the first 9 tokens when context the overflows. However, ..."}),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000"}),
    (422, {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000"}),
    (
        400,
        {"error": {"type": "invalid_request_error", "message": "prompt is too long: 200001 tokens > 200000 maximum"}},
    ),
    (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000"}}),
    (400, {"error": {"message": "Please reduce the length of the messages or completion."}}),
    (413, {"error": {"message": "Request too large for model on tokens per minute (TPM)"}}),
    (429, {"error": {"message": "Request too large for gpt-4 on tokens per min (TPM): Limit 10000, Requested 13000."}}),
    (400, [{"error": {"message": "The input token count (1200000) exceeds the maximum number of tokens allowed."}}]),
    (400, {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"}),
    (400, {"message": "too many tokens: total number of tokens in the prompt exceeds 4081"}),
    (400, {"error": {"message": "This model's maximum prompt length is 131072 but the request contains 200000."}}),
    (400, {"message": "Input is too long for requested model."}),
    (413, "<html>413 Request Entity Too Large</html>"),
]


@pytest.mark.parametrize(("status", "body"), OVERFLOWS)
def test_a_prompt_too_long_in_each_servers_words(status: int, body: object) -> None:
    failure = sort(status, body)
    assert (failure.error, failure.again) == ("overflow", False)


@pytest.mark.parametrize(
    ("status", "body", "error", "again"),
    [
        (401, {"error": {"message": "Incorrect API key"}}, "wrong_key", False),
        (403, "Forbidden", "wrong_key", False),
        (
            404,
            {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}},
            "unknown_model",
            False,
        ),
        (404, {"object": "error", "message": "The model `x` does not exist.", "code": 404}, "unknown_model", False),
        (404, {"error": {"message": 'model "x" not found, try pulling it first'}}, "unknown_model", False),
        (400, {"error": {"message": "Model Not Exist"}}, "unknown_model", False),
        (404, {"detail": "Not Found"}, "bad_request", False),
        (404, "404 page not found", "bad_request", False),
        (404, {"error": {"message": "Invalid URL (POST /chat/completions)"}}, "bad_request", False),
        (405, {"detail": "Method Not Allowed"}, "bad_request", False),
        (400, {"error": {"message": "max_tokens is too large: 100000"}}, "bad_request", False),
        (400, {"error": {"message": "Unrecognized request argument"}}, "bad_request", False),
        (402, {"error": {"message": "Insufficient Balance"}}, "rate_limited", False),
        (429, {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, "rate_limited", True),
        (429, {"error": {"message": "quota", "code": "insufficient_quota"}}, "rate_limited", False),
        (408, "", "timeout", True),
        (504, "<html>", "timeout", True),
        (409, {}, "server_error", True),
        (500, {"error": {"message": "oops"}}, "server_error", True),
        (501, "", "server_error", False),
        (503, {"error": {"message": "Loading model", "code": 503}}, "server_error", True),
        (529, {"error": {"message": "Overloaded"}}, "server_error", True),
    ],
)
def test_each_status(status: int, body: object, error: str, again: bool) -> None:
    failure = sort(status, body)
    assert (failure.error, failure.again) == (error, again)
    assert failure.detail
    assert "{" not in failure.detail


def test_a_wrong_path_is_told_apart_from_an_unknown_model() -> None:
    assert "check the base_url" in sort(404, {"detail": "Not Found"}).detail
    assert "model" in sort(404, {"error": {"code": "model_not_found"}}).detail


def test_a_server_may_forbid_or_ask_for_another_attempt() -> None:
    assert sort(500, "", {"x-should-retry": "false"}).again is False
    assert sort(400, "", {"x-should-retry": "true"}).again is True


def test_an_error_inside_a_success() -> None:
    assert from_error({"code": 429, "message": "Rate limited"}).error == "rate_limited"
    assert from_error({"code": 400, "message": "maximum context length is 5"}).error == "overflow"
    assert from_error({"message": "maximum context length is 5"}).error == "overflow"
    assert from_error("overloaded") == from_error({"message": "overloaded"})
    assert from_error("overloaded").error == "server_error"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": email.utils.formatdate(NOW_S + 30, usegmt=True)}, 30.0),
        ({"retry-after": email.utils.formatdate(NOW_S - 30, usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, NOW_S) == expected


KEY = 'k3y-with"quote-and/slash-0123456789'


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        json.dumps({"authorization": f"Bearer {KEY}"}),
        KEY[:12] + "****" + KEY[-4:],
        "Bearer abcdef",
        "sk-proj-****wxyz",
    ],
)
def test_no_secret_survives(echo: str) -> None:
    text = Scrubber({KEY}).clean(f"Incorrect key: {echo}, see the docs")
    assert "[removed]" in text
    assert text.startswith("Incorrect key")
    for part in (KEY, KEY[:9], KEY[-8:], "abcdef", "wxyz"):
        assert part not in text


def test_a_cut_leaves_no_half_of_a_secret() -> None:
    for pad in range(250, 310):
        assert KEY[:4] not in Scrubber({KEY}).clean("x" * pad + " " + KEY)


def test_without_secrets_a_text_is_only_made_one_line() -> None:
    assert Scrubber({""}).clean("a\n  b") == "a b"

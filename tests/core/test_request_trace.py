"""Traces of requests: both layouts, their buckets, and what is wrong with a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlsysim.core.errors import InputError
from mlsysim.core.request_trace import Trace, buckets, read

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2225470,879,55
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
118,GPT-4,417,276,693,Conversation log
120,GPT-4,300,0,300,API log
"""


def written(tmp_path, text):
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_azure(tmp_path):
    found = read(written(tmp_path, AZURE))
    assert found.layout == "azure"
    assert found.time == pytest.approx([0.0, 4.314579, 4.541957], abs=1e-5)
    assert found.prompt.tolist() == [374, 396, 879]
    assert found.output.tolist() == [44, 109, 55]


def test_burstgpt_leaves_out_what_was_not_answered(tmp_path):
    found = read(written(tmp_path, BURSTGPT))
    assert found.layout == "burstgpt"
    assert found.time.tolist() == [0, 40, 113]
    assert found.output.tolist() == [18, 230, 276]
    assert found.span == pytest.approx(113 * 3 / 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300), st.integers(1, 12), st.integers(0, 10**6))
def test_buckets_keep_requests_and_tokens(count, parts, seed):
    rng = np.random.default_rng(seed)
    trace = Trace(
        "azure", np.arange(count) * 0.5, rng.integers(1, 50, count) * 10.0, rng.integers(1, 9, count) * 1.0
    )
    b = buckets(trace, parts)
    assert len(b.rate) <= parts * parts
    assert b.rate.sum() * trace.span == pytest.approx(count)
    assert (b.rate @ b.prompt) * trace.span == pytest.approx(trace.prompt.sum())
    assert (b.rate @ b.output) * trace.span == pytest.approx(trace.output.sum())


@pytest.mark.parametrize(
    ("text", "where", "problem"),
    [
        ("a,b\n1,2\n", ":1", "no known layout"),
        ("", ":1", "no known layout"),
        (AZURE + "2023-11-16 18:16:00,12\n", ":5", "2 columns"),
        (AZURE + "yesterday,12,3\n", ":5", "no time"),
        (AZURE + "2023-11-16 18:16:00,many,3\n", ":5", "no number of tokens"),
        (AZURE + "2023-11-16 18:16:00,-1,3\n", ":5", "no number of tokens"),
        (AZURE + "2023-11-16 18:16:00,nan,3\n", ":5", "no number of tokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1,5,0\n", "", "no answered request"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n1,5,1\n1,6,2\n", "", "one time"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, where, problem):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=problem) as caught:
        read(path)
    assert caught.value.where == f"{path}{where}"


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "none.csv")

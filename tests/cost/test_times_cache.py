"""The cache of measured times: found again, and not broken by a broken file."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetcomp.cost.cache import TimeKey, TimesCache

KEY = TimeKey("abc", 8, 4, 4, 4, "cpu", "some device")


def test_times_survive_and_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "times.jsonl"
    TimesCache(path).put({KEY: 1.5})
    TimesCache(path).put({KEY: 2.5, TimeKey("abc", 8, 4, 4, 4, "gpu", "some device"): 3.0})
    again = TimesCache(path)
    assert again.get(KEY) == 2.5
    assert again.get(TimeKey("abc", 8, 4, 4, 4, "cpu", "other device")) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 3}',
        '{"version": 99, "kernel": "abc", "rows": 8, "channels": 4, "processor": "cpu", '
        '"part_rows": 4, "part_channels": 4, "device": "some device", "us": 7}',
        '{"version": 3, "kernel": "abc", "rows": 8, "channels": 4, "processor": "cpu", '
        '"part_rows": 4, "part_channels": 4, "device": "some device", "us": NaN}',
        '{"version": 3, "kernel": "abc", "rows": 8, "channels": 4, "processor": "cpu", '
        '"part_rows": 4, "part_channels": 4, "device": "some device", "us": 0}',
        "\udcff\x00".encode("utf-8", "surrogateescape").decode("latin-1"),
    ],
)
def test_bad_lines_are_skipped(tmp_path: Path, line: str) -> None:
    path = tmp_path / "times.jsonl"
    TimesCache(path).put({KEY: 1.5})
    with path.open("a") as stream:
        stream.write(line + "\n")
    assert TimesCache(path).get(KEY) == 1.5


def test_unwritable_place_still_serves_this_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = TimesCache(tmp_path / "file" / "times.jsonl")
    cache.put({KEY: 1.5})
    assert cache.get(KEY) == 1.5

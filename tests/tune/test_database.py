"""The data base of tuning: appended, damaged, merged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hetcomp.errors import InputError
from hetcomp.tune.database import Database, Record, merge

RECORD = Record(
    role="trial",
    task="t-1",
    baseline="b",
    what="conv2d 1x8x8x4",
    processors="cpu+gpu",
    device="here",
    choice={"height": 7, "cpu.unroll": 2},
    ratio=0.9,
    times_us={"cpu": 9.0, "gpu": 18.0},
    default_us={"cpu": 10.0, "gpu": 20.0},
    time=1.0,
)
FAILED = replace(RECORD, status="timeout", ratio=None, times_us={}, default_us={}, time=2.0)


def test_records_come_back(tmp_path: Path) -> None:
    path = tmp_path / "db.jsonl"
    for record in (RECORD, FAILED):
        Database(path).add(record)
    assert Database(path).records == (RECORD, FAILED)


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_half_a_line_is_skipped_and_nothing_else_lost(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "db.jsonl"
    for record in (RECORD, FAILED):
        Database(path).add(record)
    path.write_bytes(path.read_bytes()[:-cut])  # killed in the middle of a write
    database = Database(path)
    whole = cut == 1  # only the line's end is missing
    assert database.records == ((RECORD, FAILED) if whole else (RECORD,))
    database.add(FAILED)
    assert Database(path).records[-2:] == ((FAILED, FAILED) if whole else (RECORD, FAILED))


def test_lines_of_other_versions_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "db.jsonl"
    Database(path).add(RECORD)
    text = path.read_text()
    assert '"version": 2' in text
    path.write_text(text.replace('"version": 2', '"version": 99') + text)
    assert Database(path).records == (RECORD,)


def test_class_gpu_had_no_parameters_in_version_1(tmp_path: Path) -> None:
    path = tmp_path / "db.jsonl"
    for record in (RECORD, replace(RECORD, device_class="gpu")):
        Database(path).add(record)
    path.write_text(path.read_text().replace('"version": 2', '"version": 1'))
    assert Database(path).records == (RECORD,)


def test_merge_keeps_each_record_once_in_order_of_time(tmp_path: Path) -> None:
    one, two, both = (tmp_path / name for name in ("one", "two", "both"))
    for path, records in ((one, (FAILED, RECORD)), (two, (RECORD,))):
        for record in records:
            Database(path).add(record)
    assert merge([one, two], both) == 2
    assert Database(both).records == (RECORD, FAILED)
    assert merge([two], both) == 2  # what it holds already stays
    assert Database(both).records == (RECORD, FAILED)
    with pytest.raises(InputError, match="missing"):
        merge([tmp_path / "missing"], both)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("some\nnotes\n")
    with pytest.raises(InputError, match="no data base"):
        Database(path)
    assert Database(tmp_path / "absent").records == ()

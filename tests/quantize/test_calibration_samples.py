"""Samples from .npz files: how they are stacked, and what is refused."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetcomp.errors import FeedError
from hetcomp.frontend import TensorSpec
from hetcomp.quantize import Samples

INPUTS = (TensorSpec("x", (1, 3, 4), "float32"), TensorSpec("ids", (1, 5), "int64"))
STACKED = {
    "x": np.arange(36, dtype=np.float32).reshape(3, 3, 4),
    "ids": np.arange(15).reshape(3, 5),
}


def written(folder: Path, name: str = "s.npz", **arrays: Any) -> Path:
    np.savez(folder / name, **arrays)
    return folder / name


@pytest.mark.parametrize(
    "form",
    [
        lambda array: array,
        lambda array: array[:, None],
        lambda array: np.asfortranarray(array),
    ],
)
def test_stacked_along_the_first_axis(form: Callable[[Any], Any], tmp_path: Path) -> None:
    path = written(tmp_path, **{name: form(array) for name, array in STACKED.items()})
    samples = Samples(path, INPUTS)
    assert len(samples) == 3
    for _ in range(2):  # it can be read again
        for index, sample in enumerate(samples):
            for item in INPUTS:
                assert sample[item.name].shape == item.shape
                np.testing.assert_array_equal(sample[item.name][0], STACKED[item.name][index])
        assert index == 2


def test_one_sample_scalars_and_compression(tmp_path: Path) -> None:
    inputs = (TensorSpec("s", (), "float32"), TensorSpec("b", (2, 2), "uint8"))
    np.savez_compressed(tmp_path / "1.npz", s=np.float32(3), b=np.eye(2, dtype=np.uint8))
    np.savez(tmp_path / "2.npz", s=np.float32([4, 5]), b=np.zeros((4, 2), np.uint8))
    samples = list(Samples(tmp_path, inputs))
    assert [float(sample["s"]) for sample in samples] == [3, 4, 5]
    np.testing.assert_array_equal(samples[0]["b"], np.eye(2))


def test_memory_is_that_of_one_sample(tmp_path: Path) -> None:
    count, item = 64, TensorSpec("x", (1, 1 << 18), "float32")
    path = written(tmp_path, x=np.zeros((count, *item.shape[1:]), np.float32))
    tracemalloc.start()
    assert sum(1 for _ in Samples(path, (item,))) == count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * 4 * item.shape[1]


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"x": STACKED["x"]}, "lacks 'ids'; the model's inputs are 'x', 'ids'"),
        ({**STACKED, "y": np.ones(1)}, "has 'y'"),
        ({**STACKED, "x": STACKED["x"].astype(np.float64)}, r"got float64, expected float32"),
        ({**STACKED, "x": STACKED["x"][..., :3]}, "got shape 3x3x3, expected 1x3x4, or samples"),
        ({**STACKED, "x": STACKED["x"][:2]}, "'x' has 2, 'ids' has 3"),
        ({"x": STACKED["x"][:0], "ids": STACKED["ids"][:0]}, "there is no sample"),
        ({**STACKED, "ids": np.array([None, 1])}, "objects rather than numbers"),
    ],
)
def test_refused(arrays: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=text):
        Samples(written(tmp_path, **arrays), INPUTS)


def test_files_that_are_not_there_or_no_archives(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="no such file or folder"):
        Samples(tmp_path / "none.npz", INPUTS)
    with pytest.raises(FeedError, match=r"the folder has no \.npz file"):
        Samples(tmp_path, INPUTS)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(FeedError, match="not a readable"):
        Samples(tmp_path / "text.npz", INPUTS)
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(FeedError, match="not a readable"):
        Samples(tmp_path / "other.npz", INPUTS)


def test_damaged_while_reading(tmp_path: Path) -> None:
    path = written(tmp_path, **STACKED)
    samples = Samples(path, INPUTS)
    data = bytearray(path.read_bytes())
    place = data.index(STACKED["x"].tobytes()[:64])
    data[place + 8] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FeedError, match="not a readable"):
        list(samples)


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    x = STACKED["x"].copy()
    x[1, 0, 0] = np.nan
    with pytest.raises(FeedError, match="sample 1 of 'x'"):
        list(Samples(written(tmp_path, x=x, ids=STACKED["ids"]), INPUTS))

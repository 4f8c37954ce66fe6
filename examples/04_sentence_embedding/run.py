"""Compiles the sentence-embedding network and tells how alike three sentences are."""

from itertools import combinations

import click
import numpy as np
import onnx
import onnxruntime
from export import build, model_folder
from tokenizers import Tokenizer

import hetcomp

SENTENCES = (
    "A kitten is asleep on the sofa.",
    "The cat sleeps on the couch.",
    "Interest rates rose again this spring.",
)


def tokenize(sentences: tuple[str, ...], tokens: int) -> list[dict[str, np.ndarray]]:
    """Turn each sentence into the network's inputs, cut or padded to ``tokens``."""
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(tokens)
    tokenizer.enable_padding(length=tokens)
    return [
        {
            "input_ids": np.array([encoding.ids], dtype=np.int64),
            "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
        }
        for encoding in tokenizer.encode_batch(list(sentences))
    ]


@click.command()
@click.argument("sentences", nargs=-1)
@click.option("--tokens", type=click.IntRange(2, 512), default=32, show_default=True)
def main(sentences: tuple[str, ...], tokens: int) -> None:
    """Embed SENTENCES and print how alike each two are (1: the same, 0: unrelated)."""
    sentences = sentences or SENTENCES
    feeds = tokenize(sentences, tokens)
    model = build(tokens)
    onnx.save(model, "minilm.onnx")  # for other tools; compile takes the model itself

    artifact = hetcomp.compile(model, output="minilm.so")
    session = hetcomp.load(artifact.path)
    vectors = [session.run(feed)["embedding"][0] for feed in feeds]

    reference = onnxruntime.InferenceSession(model.SerializeToString())
    expected = [reference.run(["embedding"], feed)[0][0] for feed in feeds]
    difference = np.abs(np.subtract(vectors, expected)).max()
    click.echo(f"largest difference from ONNX Runtime: {difference:.1e}")
    for first, second in combinations(range(len(sentences)), 2):
        likeness = float(vectors[first] @ vectors[second])
        click.echo(f"{likeness:6.3f}  {sentences[first]!r} / {sentences[second]!r}")


if __name__ == "__main__":
    main()

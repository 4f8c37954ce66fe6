"""Gradient-boosted trees on features: trained, asked, and as plain data, with xgboost.

xgboost is imported where trees are at work: it takes 70 MB and a second, and most compilations need
none.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hetcomp.cost.launches import Array

if TYPE_CHECKING:
    import xgboost

__all__ = ["QUANTILES", "TrainOptions", "booster_from_text", "booster_to_text", "predict", "train"]

QUANTILES = (0.05, 0.95)
"""Asked of the trees, for four of five times of shapes that they have not seen lie between."""


_SPREAD = {"max_depth": 3, "min_child_weight": 40, "eta": 0.1}
_SPREAD_ROUNDS = 100
"""Coarse trees for the quantiles: fine ones learn the samples and come out too narrow."""


@dataclass(frozen=True)
class TrainOptions:
    """Parameters of the trees.

    On a machine with other load one thread trains faster than two, which wait for each other.

    Attributes
    ----------
    rounds, rate, depth
        Trees, what each adds of its correction, and their depth.
    rows, columns
        Parts of the samples and features that a tree sees.
    least
        Samples of a leaf.
    seed
        Of all random choices.
    threads
        For training.
    """

    rounds: int = 500
    rate: float = 0.05
    depth: int = 6
    rows: float = 0.7
    columns: float = 0.5
    least: int = 3
    seed: int = 0
    threads: int = 1

    def parameters(self) -> dict[str, Any]:
        """As xgboost names them."""
        return {
            "eta": self.rate,
            "max_depth": self.depth,
            "subsample": self.rows,
            "colsample_bytree": self.columns,
            "min_child_weight": self.least,
            "seed": self.seed,
            "nthread": self.threads,
        }


def train(
    values: Array, target: Array, options: TrainOptions, quantiles: tuple[float, ...] = ()
) -> xgboost.Booster:
    """Trees for the mean of `target` (n,) over `values` (n, features), or for its quantiles."""
    import xgboost

    parameters = options.parameters()
    parameters["objective"] = "reg:squarederror"
    rounds = options.rounds
    if quantiles:
        parameters |= {"objective": "reg:quantileerror", "quantile_alpha": list(quantiles)}
        parameters |= _SPREAD
        rounds = min(rounds, _SPREAD_ROUNDS)
    data = xgboost.QuantileDMatrix(values, target, nthread=options.threads)
    return xgboost.train(parameters, data, rounds)


def predict(booster: xgboost.Booster, values: Array) -> Array:
    """What the trees say of `values`: shape (n,), or (n, quantiles)."""
    said: Array = np.asarray(booster.inplace_predict(values), dtype=np.float64)
    return said


def booster_to_text(booster: xgboost.Booster) -> str:
    """Plain text, compressed."""
    return base64.b64encode(zlib.compress(bytes(booster.save_raw("ubj")), 9)).decode()


def booster_from_text(text: str, threads: int = 1) -> xgboost.Booster:
    """Inverse of `booster_to_text`."""
    import xgboost

    booster = xgboost.Booster({"nthread": threads})
    booster.load_model(bytearray(zlib.decompress(base64.b64decode(text))))
    return booster

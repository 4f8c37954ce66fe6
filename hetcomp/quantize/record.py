"""What a model.so remembers of its quantisation: enough to quantise the float model again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import onnx

from hetcomp.errors import ArtifactError, InputError

from .float_model import digest
from .ranges import Ranges
from .static import quantize

__all__ = ["KEY", "Quantization"]

KEY = "quantization"
"""Entry of the record of a compilation."""


@dataclass(frozen=True)
class Quantization:
    """How a float model was quantised.

    Attributes
    ----------
    digest
        Of the float model.
    samples
        Number of samples it was calibrated on.
    keep_float
        Operators that were left in float because the user said so.
    exclusions
        Operators that were left in float besides, and why.
    ranges
        Of the float model's tensors.
    """

    digest: str
    samples: int
    keep_float: tuple[str, ...]
    exclusions: Mapping[str, str]
    ranges: Ranges

    @property
    def floats(self) -> tuple[str, ...]:
        """All operators that were left in float."""
        return (
            *self.keep_float,
            *(name for name in self.exclusions if name not in self.keep_float),
        )

    @staticmethod
    def from_json(data: dict[str, Any]) -> Quantization:
        """The record in a model.so.

        Raises
        ------
        ArtifactError
            It is not of this version's form.
        """
        try:
            ranges = {
                name: (float(low), float(high)) for name, (low, high) in data["ranges"].items()
            }
            return Quantization(
                digest=str(data["digest"]),
                samples=int(data["samples"]),
                keep_float=tuple(data["keep_float"]),
                exclusions={str(name): str(why) for name, why in data["exclusions"].items()},
                ranges=ranges,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"the record of the quantisation cannot be read ({error!r}); compile again"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)

    def check(self, model: onnx.ModelProto) -> None:
        """Refuse a float model that is not the one that was quantised.

        Raises
        ------
        InputError
            It is another one.
        """
        if digest(model) != self.digest:
            raise InputError(
                "the compiled file was made of another float model, or of another version of it; "
                "give the one that was compiled, with the same --shape"
            )

    def again(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The float model in QDQ form, as it was compiled."""
        return quantize(model, self.ranges, self.floats)

"""Give every model input a static shape: the model's own, or the one the user asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from hetcomp.errors import ShapeError, UnsupportedOperatorError

__all__ = ["bind_shapes"]

Dim = int | str  # an extent, or the name of a symbolic one ("" where it has none)


@dataclass(frozen=True)
class _Input:
    """A graph input; `dims` is None where the model does not even give the rank."""

    name: str
    dims: tuple[Dim, ...] | None

    def __str__(self) -> str:
        if self.dims is None:
            return f"'{self.name}' of unknown rank"
        return f"'{self.name}' [{', '.join(str(dim) or '?' for dim in self.dims)}]"

    @property
    def option(self) -> str:
        """The option that would fix this input, with 1 for what is unknown."""
        if self.dims is None:
            return f"--shape {self.name}=1,…"
        return f"--shape {self.name}=" + ",".join(
            str(dim) if isinstance(dim, int) else "1" for dim in self.dims
        )


@dataclass
class _Symbols:
    """Extents of symbolic dimensions, with the input that fixed each."""

    extents: dict[str, int] = field(default_factory=dict)
    source: dict[str, str] = field(default_factory=dict)

    def bind(self, symbol: str, extent: int, name: str) -> None:
        known = self.extents.setdefault(symbol, extent)
        source = self.source.setdefault(symbol, name)
        if known != extent:
            raise ShapeError(
                f"dimension '{symbol}' is {known} in input '{source}' but {extent} in input "
                f"'{name}'; give both the same extent"
            )


def bind_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> None:
    """Write static shapes into the inputs of `model`, in place.

    A symbolic dimension bound by one input's shape holds for all inputs that share it.

    Raises
    ------
    ShapeError
        A dimension stays unknown, or a shape in `shapes` does not fit; the text gives the exact
        ``--shape`` option to add.
    """
    inputs = [_describe_input(value) for value in model.graph.input]
    _check_names(inputs, shapes)
    symbols = _Symbols()
    for item in inputs:
        if item.name in shapes:
            _bind_one(item, tuple(shapes[item.name]), symbols)
    bound = [_resolve(item, shapes, symbols) for item in inputs]
    missing = [item for item, dims in zip(inputs, bound, strict=True) if dims is None]
    if missing:
        raise ShapeError(_missing_text(missing))
    for value, dims in zip(model.graph.input, bound, strict=True):
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        shape.SetInParent()
        for extent in dims or ():
            shape.dim.add().dim_value = extent


def _describe_input(value: onnx.ValueInfoProto) -> _Input:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UnsupportedOperatorError(
            f"model input '{value.name}' is a {kind or 'value without type'}; "
            "only dense tensors are supported"
        )
    if not value.type.tensor_type.HasField("shape"):
        return _Input(value.name, None)
    dims = tuple(
        dim.dim_value if dim.dim_value > 0 else dim.dim_param
        for dim in value.type.tensor_type.shape.dim
    )
    return _Input(value.name, dims)


def _check_names(inputs: Sequence[_Input], shapes: Mapping[str, Sequence[int]]) -> None:
    names = [item.name for item in inputs]
    for name in shapes:
        if name not in names:
            raise ShapeError(
                f"a shape is given for '{name}', but the model has no such input; "
                f"its inputs are {', '.join(map(str, inputs)) or 'none'}"
            )


def _bind_one(item: _Input, shape: tuple[int, ...], symbols: _Symbols) -> None:
    text = ",".join(map(str, shape))
    bad = [e for e in shape if isinstance(e, bool) or not hasattr(e, "__index__") or e <= 0]
    if bad:
        raise ShapeError(
            f"shape {text} for input {item}: extent {bad[0]!r} is not a positive integer"
        )
    if item.dims is None:
        return
    if len(shape) != len(item.dims):
        raise ShapeError(
            f"shape {text} for input {item} has {len(shape)} dimensions; expected {len(item.dims)}"
        )
    for axis, (extent, dim) in enumerate(zip(shape, item.dims, strict=True)):
        if isinstance(dim, str):
            if dim:
                symbols.bind(dim, extent, item.name)
        elif dim != extent:
            raise ShapeError(
                f"shape {text} for input {item}: dimension {axis} is fixed at {dim} in the model, "
                f"got {extent}; export the model with that dimension dynamic to change it"
            )


def _resolve(
    item: _Input, shapes: Mapping[str, Sequence[int]], symbols: _Symbols
) -> tuple[int, ...] | None:
    if item.name in shapes:
        return tuple(int(extent) for extent in shapes[item.name])
    if item.dims is None:
        return None
    dims = [symbols.extents.get(dim) if isinstance(dim, str) else dim for dim in item.dims]
    return None if None in dims else tuple(dim for dim in dims if dim is not None)


def _missing_text(missing: Sequence[_Input]) -> str:
    which = "; ".join(f"input {item}" for item in missing)
    options = " ".join(item.option for item in missing)
    return (
        f"the model leaves dimensions open, and hetcomp compiles for static shapes: {which}. "
        f"Add {options} with your own extents (Python: shapes={{'{missing[0].name}': (…)}})"
    )

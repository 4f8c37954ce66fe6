"""Carry the names of ONNX values through fusion, for people to read; nothing is decided by them.

Bindings keep the names of their ONNX values up to `FuseOps`, which makes new variables. So the
function before fusion is remembered in a module attribute, and each value inside a fused function
is found again there by what it computes: callee and arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tvm
from tvm import relax

from .relax_values import constant_value

__all__ = ["NameTasks", "RememberValues", "value_names"]

_BEFORE, _NAMES = "hetcomp.before_fusion", "hetcomp.value_names"
_ANCHOR_PATTERN = 4


def value_names(mod: Any, var: Any) -> tuple[str, ...]:
    """Names of the values that the task bound to `var` computes, the anchor's first."""
    names = mod.attrs.get(_NAMES, {}) if mod.attrs else {}
    return tuple(str(name) for name in names[var]) if var in names else ()


@tvm.transform.module_pass(opt_level=0, name="RememberValues")
@dataclass(frozen=True)
class RememberValues:
    """Keep `main` as it is before fusion; runs last before `FuseOps`."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        return mod.with_attr(_BEFORE, mod["main"])


@tvm.transform.module_pass(opt_level=0, name="NameTasks")
@dataclass(frozen=True)
class NameTasks:
    """Attach to each binding of `main` the names of the values fused into it; after `FuseOps`."""

    def transform_module(self, mod: Any, _context: Any) -> Any:
        """The pass."""
        if not mod.attrs or _BEFORE not in mod.attrs:
            return mod
        tracer = _Tracer(mod)
        tracer.remember(mod.attrs[_BEFORE])
        names = tracer.trace(mod["main"])
        return mod.without_attr(_BEFORE).with_attr(_NAMES, names)


@dataclass
class _Tracer:
    """Numbers for values, equal before and after fusion.

    `numbers` knows them by what computes them, `keys` by variable; `named` lists, by number, the
    names that the value had before fusion and that were not met since, `parts` those of aliases
    and tuple items.
    """

    mod: Any
    numbers: dict[Any, int] = field(default_factory=dict)
    keys: dict[Any, int] = field(default_factory=dict)
    named: dict[int, list[str]] = field(default_factory=dict)
    parts: dict[int, list[str]] = field(default_factory=dict)

    def remember(self, main: Any) -> None:
        self._enter_main(main)
        for binding in _bindings(main):
            value, known = binding.value, self.named
            self.keys[binding.var] = key = self._key(value)
            if not isinstance(value, relax.Call):
                known = self.parts
                key = self._key(value.tuple_value) if _is_item(value) else key
            known.setdefault(key, []).append(str(binding.var.name))

    def trace(self, main: Any) -> Mapping[Any, Sequence[str]]:
        self._enter_main(main)
        found = {}
        for binding in _bindings(main):
            value = binding.value
            if isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.GlobalVar):
                found[binding.var] = self._fused(binding.var, value)
            else:
                self.keys[binding.var] = self._key(value)
                found[binding.var] = self._take(self.keys[binding.var])
        return found

    def _fused(self, var: Any, call: Any) -> list[str]:
        function = self.mod[call.op]
        self._enter(function.params, [self._key(arg) for arg in call.args])
        before: list[str] = []
        after: list[str] = []
        for binding in _bindings(function):
            self.keys[binding.var] = key = self._key(binding.value)
            target = after if after or self._is_anchor(binding.value) else before
            target += self._take(key)
        self.keys[var] = self._key(function.body.body)
        return after + before

    def _enter_main(self, main: Any) -> None:
        places = range(len(main.params))
        self._enter(main.params, [self._number(("parameter", place)) for place in places])

    def _enter(self, params: Sequence[Any], keys: Sequence[int]) -> None:
        self.keys.update(zip(params, keys, strict=True))

    def _number(self, computed_by: Any) -> int:
        return self.numbers.setdefault(computed_by, len(self.numbers))

    def _take(self, key: int) -> list[str]:
        names = self.named.get(key)
        return [names.pop(0), *self.parts.pop(key, [])] if names else []

    def _key(self, expr: Any) -> int:
        if isinstance(expr, relax.Var):
            return self.keys[expr]
        if isinstance(expr, relax.Tuple):
            return self._number(("tuple", *(self._key(item) for item in expr.fields)))
        if _is_item(expr):
            return self._number(("item", self._key(expr.tuple_value), int(expr.index)))
        if isinstance(expr, relax.Call) and isinstance(expr.args[0], tvm.ir.GlobalVar):
            callee, *args = expr.args
            return self._number((callee, *(self._key(arg) for arg in args)))
        array = constant_value(expr)
        return self._number(expr if array is None else (array.ctypes.data, array.shape))

    def _is_anchor(self, value: Any) -> bool:
        if not isinstance(value, relax.Call) or not isinstance(value.args[0], tvm.ir.GlobalVar):
            return False
        function = self.mod[value.args[0]]
        return int(function.attrs.get("op_pattern", -1)) == _ANCHOR_PATTERN


def _is_item(expr: Any) -> bool:
    return isinstance(expr, relax.TupleGetItem)


def _bindings(function: Any) -> list[Any]:
    return [binding for block in function.body.blocks for binding in block.bindings]

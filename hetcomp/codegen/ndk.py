"""Android's NDK: which of its compilers, and what Android wants of what they link.

Written after the NDK's documentation; no NDK was at hand, so nothing here has built for a phone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from hetcomp.errors import ToolchainError

__all__ = ["ANDROID_LINK_FLAGS", "LEAST_API", "ndk_compiler"]

LEAST_API = 28
"""Android 9: the first whose C library has aligned_alloc."""
ANDROID_LINK_FLAGS = (
    "-static-libstdc++",  # else libc++_shared.so has to be shipped too
    "-Wl,-z,max-page-size=16384",  # devices with pages of 16 KiB load no other libraries
)
_VARIABLES = ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_NDK")
_COMPILERS = "toolchains/llvm/prebuilt/*/bin"


def ndk_compiler(triple: str, ndk: str, environment: Mapping[str, str] = os.environ) -> str:
    """Path of clang++ for a triple and the oldest Android that the runtime can do with.

    Parameters
    ----------
    triple
        Such as `aarch64-linux-android`.
    ndk
        The NDK's folder; empty: that of $ANDROID_NDK_HOME, $ANDROID_NDK_ROOT or $ANDROID_NDK.
    environment
        Where these are looked up.

    Raises
    ------
    ToolchainError
        No NDK is known, or the folder is none, or too old.
    """
    named = ndk or next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    if not named:
        raise ToolchainError(
            f"{triple} needs Android's NDK: give its folder by --ndk or in ${_VARIABLES[0]}"
        )
    levels = {}
    for path in Path(named).glob(f"{_COMPILERS}/{triple}*-clang++"):
        level = re.fullmatch(rf"{re.escape(triple)}(\d+)-clang\+\+", path.name)
        if level:
            levels[int(level[1])] = str(path)
    if not levels:
        raise ToolchainError(
            f"'{named}' is no NDK: it has no {_COMPILERS}/{triple}{LEAST_API}-clang++"
        )
    usable = [level for level in levels if level >= LEAST_API]
    if not usable:
        raise ToolchainError(
            f"the NDK in '{named}' compiles for Android API {max(levels)} at most, "
            f"expected {LEAST_API} or more: take a newer one"
        )
    return levels[min(usable)]

"""The command line: `hetcomp COMMAND`. Exit status: 0 done, 2 bad input or usage, 1 else."""

from hetcomp.cli.app import main

__all__ = ["main"]

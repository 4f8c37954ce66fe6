"""Relax passes, one a file; their order is written in `hetcomp.pipeline` alone."""

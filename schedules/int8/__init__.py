"""Dot products and depthwise convolutions of bytes."""

"""Convolution by Winograd's method."""

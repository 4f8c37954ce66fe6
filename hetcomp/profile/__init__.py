"""Measuring a device: kernels over sampled shapes, and what working together costs."""

"""Measurement: timing, the model zoo, peers and reports."""

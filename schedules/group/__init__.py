"""Kernels for OpenCL class `gpu`: a work-group shares a tile in local memory."""

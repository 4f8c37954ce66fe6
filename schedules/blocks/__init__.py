"""What kernels are built of: frame, register tile, epilogue, window, prefetches."""

"""Everything without a matrix anchor, row by row."""

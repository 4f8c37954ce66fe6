"""The anchor operators in register tiles: products, convolutions, attention."""

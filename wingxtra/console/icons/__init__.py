"""The font of the console's icons: a subset of Material Symbols, which unfold has in full."""

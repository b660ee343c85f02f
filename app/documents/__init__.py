"""Files, given or produced: their rows, their bytes, their links."""

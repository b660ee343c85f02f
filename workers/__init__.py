"""The other edge: arq's worker, and the only place where documents are opened."""

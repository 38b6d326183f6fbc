"""Banks: what each style channel does to a picture, as an embedder sees it."""

"""Corpora: searchable tables of embedded pictures."""

"""Editing: a domain made ready, a photo and a request in, a picture that explains itself out."""

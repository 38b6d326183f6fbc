"""Evaluation: how well methods do, beside each other."""

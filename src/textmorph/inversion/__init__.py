"""Inversion: image → latent in w+ whose image is close to it."""

from __future__ import annotations

INVERTERS = {"refinement": "textmorph.inversion.refinement:Refinement"}
"""Name → class, for ways beyond the encoder's single pass (see `encoders`)."""

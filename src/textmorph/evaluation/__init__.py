"""Figures about an edit of one's own image, from the nets of its domain."""

from __future__ import annotations

from ..alignment import reconstruction_distance as reconstruction_distance
from .metrics import change_outside as change_outside
from .metrics import clip_gain as clip_gain
from .metrics import compare as compare
from .metrics import edit_region as edit_region
from .metrics import identity_kept as identity_kept
from .metrics import seen as seen

"""Methods: one paper, one file. Each is a frozen dataclass of its hyper-parameters, with one verb."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import OptionError

METHODS = {
    "global": "textmorph.methods.global_direction:GlobalDirection",
    "svm": "textmorph.methods.svm_direction:SvmDirection",
    "optimize": "textmorph.methods.latent_optimization:LatentOptimization",
    "interfacegan": "textmorph.methods.interfacegan:InterFaceGan",
    "mapper": "textmorph.methods.latent_mapper:LatentMapper",
}
"""Name on the command line → class, imported on use. Its verb is the one of `find`, `train` and `paint` that it has."""


def method_class(name: str) -> Any:
    """The class of a method.

    Raises:
        OptionError: no such method.
    """
    if name not in METHODS:
        raise OptionError(f"there is no method {name!r}; use one of {', '.join(METHODS)}")
    module, _, attribute = METHODS[name].partition(":")
    return getattr(import_module(module), attribute)

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import textmorph

PUBLIC = [
    "__version__",
    "Editor",
    "Result",
    "Domain",
    "load_domain",
    "GlobalDirection",
    "SvmDirection",
    "LatentOptimization",
    "LatentMapper",
    "StrengthSearch",
    "Direction",
    "Residual",
    "apply_edits",
    "load_edit",
    "Latent",
    "ChannelBank",
    "build_bank",
    "gradient_bank",
    "Corpus",
    "load_generator",
    "load_embedder",
    "load_encoder",
    "load_identity",
    "read_image",
    "write_image",
    "TextmorphError",
]


def test_these_names_are_public_and_no_others() -> None:
    assert textmorph.__all__ == PUBLIC
    assert dir(textmorph) == sorted(PUBLIC)


def test_every_public_name_is_there() -> None:
    for name in PUBLIC:
        assert getattr(textmorph, name) is not None, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        textmorph.Nonsense  # noqa: B018


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    """The lazy table and the imports under TYPE_CHECKING say the same."""
    tree = ast.parse(Path(textmorph.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = {
        alias.asname: f"textmorph.{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imports == textmorph._PUBLIC


def test_every_error_of_ours_stands_in_the_drawing_and_below_the_one_base() -> None:
    errors = import_module("textmorph.errors")
    assert errors.__doc__
    for name, value in vars(errors).items():
        if isinstance(value, type) and value.__module__ == errors.__name__:
            assert issubclass(value, textmorph.TextmorphError)
            assert value.__doc__
            assert name in errors.__doc__


def _run(*command: str, setting: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(setting or {})}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, timeout=60)


HEAVY = ("torch", "transformers", "sklearn", "lancedb", "ray", "gradio", "PIL", "numpy")


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = f"import sys, textmorph; print([name for name in {HEAVY} if name in sys.modules])"
    result = _run("-c", script)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.skipif(importlib.util.find_spec("textmorph.cli") is None, reason="the command line does not exist yet")
def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nsys.argv = ['textmorph', '--help']\nfrom textmorph.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"print('\\nHEAVY', [name for name in {HEAVY} if name in sys.modules])"
    )
    result = _run("-c", script)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout
    assert result.stdout.strip().endswith("HEAVY []")

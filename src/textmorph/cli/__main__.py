"""`python -m textmorph.cli`."""

from . import main

main()

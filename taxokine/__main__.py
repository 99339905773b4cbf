"""`python -m taxokine` is `taxokine`."""

from taxokine.cli import main

main(prog_name="taxokine")

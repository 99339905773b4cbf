"""`python -m taxokine` is `taxokine`."""

from taxokine.cli import main

if __name__ == "__main__":
    main(prog_name="taxokine")

"""The demo: from simulated or published cohorts to a server that explains its predictions."""

from taxokine.demo.run import run_demo

__all__ = ["run_demo"]

"""Servers: `taxokine serve` and `taxokine demo`."""

from __future__ import annotations

import click

from taxokine.cli.options import COHORT


@click.command(epilog=COHORT)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes, each of one thread.")
@click.option("--alias", help='Serve this registry alias; "champion", else "candidate", when left out.')
@click.option("--clinic", metavar="COHORT", help="List this cohort's patients as candidates on the pages.")
@click.option("--require-signed", "signers", multiple=True, metavar="PUBLIC_KEY", type=click.Path(dir_okay=False),
              help="Serve only bundles that this key has signed; may be given for several keys.")  # fmt: skip
def serve(host: str, port: int, workers: int, alias: str | None, clinic: str | None, signers: tuple[str, ...]) -> None:
    """Serve explained predictions, to people as pages and to programs over HTTP, on this machine only unless told.

    \u0008
    taxokine users add anna                      a user who may sign in
    taxokine serve --clinic mine.yaml            the patients of a cohort at http://127.0.0.1:8000

    Programs need an API key: at the first start one is made and shown once, 'taxokine keys' makes more, and
    TAXOKINE_API_KEY sets one instead. People sign in: 'taxokine users add NAME' lets them.

    Users and keys are kept, as hashes, in the database that TAXOKINE_DATABASE names: a file in the folder that
    TAXOKINE_HOME names when left out, or postgresql://USER:PASSWORD@HOST/DATABASE. Its tables are made, and brought up
    to date, at the start.

    The log goes to standard error, one JSON object a line: for each request its id (X-Request-ID, also that of the
    record of questions), route, status, time and asker, and nothing that a request says of a patient.

    With --require-signed, a bundle that none of the keys has signed is refused, and the last good one stays:
    'taxokine keys signing' makes a key, and a trainer signs by the one that TAXOKINE_SIGNING_KEY names.
    """
    from serving.main import serve

    serve(host, port, workers, alias, clinic, signers)


@click.command()
@click.option("--cohorts", default="", help="Published cohorts instead of simulated ones, separated by spaces.")
@click.option("--once", "ends_after_printing", is_flag=True, help="End after printing, instead of serving.")
def demo(cohorts: str, ends_after_printing: bool) -> None:
    """Do it all once: simulate or read cohorts, train, promote, serve, and print where to sign in and one prediction.

    The server and the MLflow UI run until Ctrl-C; everything lies in the folder .demo, which each start empties.
    """
    from taxokine.demo import run_demo

    run_demo(tuple(cohorts.split()), ends_after_printing=ends_after_printing)

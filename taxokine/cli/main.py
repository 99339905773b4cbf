"""The command `taxokine`. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import gc

import click

from features.errors import InputError, TaxokineError
from taxokine.cli.accounts import keys, users
from taxokine.cli.audit import audit
from taxokine.cli.cohorts import cohorts, features
from taxokine.cli.donors import donors, engraftment
from taxokine.cli.experiments import card, predict, promote, train, ui, validate
from taxokine.cli.servers import demo, serve
from taxokine.cli.trials import plan, simulate, study


class _Commands(click.Group):
    """Show errors that a user can correct as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TaxokineError as error:
            click.secho(f"Error: {error}", fg="red", err=True)
            ctx.exit(2 if isinstance(error, InputError) else 1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="taxokine")
def main() -> None:
    """Who benefits from immunotherapy, and whom it harms, from the gut microbiome and the immune system.

    \u0008
    From published tables to an explained prediction:
      taxokine cohorts init . --out mine.yaml   draft a manifest of these files
      taxokine cohorts check mine.yaml          read the files, and audit them
      taxokine study mine.yaml --out report/    the trial's own analysis
      taxokine train --cohorts mine.yaml --outcome objective_response
      taxokine train --cohorts mine.yaml --outcome toxicity --grade any
      taxokine ui                               compare the runs
      taxokine validate objective_response other.yaml   on patients not seen
      taxokine users add anna                   let a user sign in
      taxokine serve --clinic mine.yaml         predictions for candidates

    Research use. Not a medical device.
    """
    # A command's libraries are a million objects to search for garbage, also while they are imported.
    gc.set_threshold(20_000)


for command in (
    cohorts,
    features,
    train,
    promote,
    validate,
    card,
    predict,
    ui,
    engraftment,
    donors,
    study,
    plan,
    simulate,
    serve,
    users,
    keys,
    audit,
    demo,
):
    main.add_command(command)

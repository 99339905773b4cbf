"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from features.errors import InputError, TaxokineError

_DAYS = "DAYS"
COHORT = "A cohort is the name of a shipped manifest (see 'taxokine cohorts list') or the path of a manifest of yours."


class _Commands(click.Group):
    """Errors that a user can mend are shown as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TaxokineError as error:
            click.secho(f"Error: {error}", fg="red", err=True)
            ctx.exit(2 if isinstance(error, InputError) else 1)


_RESPONSES = ("objective_response", "disease_control", "durable_benefit", "published_response")
_DATED = ("overall_survival", "progression_free_survival", "time_to_toxicity")


def _listed(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _one_of(names: tuple[str, ...]) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    def check(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
        found = _listed(ctx, param, value)
        for name in found:
            if name not in names:
                raise click.BadParameter(f"{name!r} is not one of {', '.join(names)}")
        return tuple(dict.fromkeys(found))

    return check


def _joining(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the landmark join, the same for every command that joins."""
    for option in reversed(
        (
            click.option("--landmark", type=float, default=0, show_default=True, metavar=_DAYS,
                         help="Last day, on each cohort's clock, whose measurements may enter."),
            click.option("--window", type=click.FloatRange(min=0), default=90, show_default=True, metavar=_DAYS,
                         help="Days before the landmark in which a measurement still counts."),
            click.option("--sample", type=click.Choice(["first", "last"]), default="last", show_default=True,
                         help="Which stool sample stands for a patient with several."),
            click.option("--by-day", type=float, metavar=_DAYS,
                         help="Last day on which a dated adverse event counts; any day when left out."),
            click.option("--censored", type=click.Choice(["half_limit", "limit", "missing"]), default="half_limit",
                         show_default=True, help="The number for a value beyond its limit of quantification."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="taxokine")
def main() -> None:
    """Who benefits from immunotherapy, and whom it harms, from the gut microbiome and the immune system.

    \u0008
    From published tables to an explained prediction:
      taxokine cohorts init *.tsv > mine.yaml      draft a manifest of your own files
      taxokine cohorts check mine.yaml             read them as the manifest says
      taxokine study mine.yaml --out report/       the trial's own analysis
      taxokine train --cohorts mine.yaml --outcome objective_response
      taxokine train --cohorts mine.yaml --outcome toxicity --grade any
      taxokine ui                                  compare the runs
      taxokine serve                               answer for candidate patients
      taxokine users add anna                      let her sign in

    Research use. Not a medical device.
    """


@main.group()
def cohorts() -> None:
    """Describe cohorts' files, fetch and check them."""


@cohorts.command("list")
def cohorts_list() -> None:
    """List the manifests that ship with Taxokine."""
    from features.manifest import load_manifest, manifest_names

    for name in manifest_names():
        click.echo(f"{name:<22}{load_manifest(name).title}")


@cohorts.command("show", epilog=COHORT)
@click.argument("cohort")
def cohorts_show(cohort: str) -> None:
    """Print a manifest as it was read."""
    from features.manifest import load_manifest, manifest_text

    click.echo(manifest_text(load_manifest(cohort)), nl=False)


@cohorts.command("fetch", epilog=COHORT)
@click.argument("cohort", nargs=-1, required=True)
def cohorts_fetch(cohort: tuple[str, ...]) -> None:
    """Fetch cohorts' published files into the folder that TAXOKINE_DATA names, checked by SHA-256."""
    from features.cohort import locate
    from features.manifest import load_manifest
    from features.settings import settings

    for name in cohort:
        for file in locate(load_manifest(name), settings().data, fetch=True, progress=True).values():
            click.echo(file)


@cohorts.command("check", epilog=COHORT)
@click.argument("cohort", nargs=-1, required=True)
@click.pass_context
def cohorts_check(ctx: click.Context, cohort: tuple[str, ...]) -> None:
    """Read cohorts as their manifests say, report what is in them, and audit them, alone and together.

    The exit status is 1 where an error was found: something that would make a model's result wrong.
    """
    from features.audit import audit
    from features.cohort import read_cohort
    from features.settings import settings
    from taxokine.reports import audit_report, cohort_report

    read = [read_cohort(name, settings().data) for name in dict.fromkeys(cohort)]
    for one in read:
        click.echo(cohort_report(one))
    findings = audit(read)
    click.echo(audit_report(findings))
    ctx.exit(any(finding.severity == "error" for finding in findings))


@cohorts.command("init")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", default="my_cohort", show_default=True, help="The cohort's name.")
def cohorts_init(files: tuple[Path, ...], name: str) -> None:
    """Draft a manifest from your own FILES, with what was guessed and what you must finish marked.

    \u0008
    taxokine cohorts init profiles.tsv patients.csv cytokines.csv > mine.yaml
    """
    from features.draft import drafted_manifest

    click.echo(drafted_manifest(files, name), nl=False)


@main.command(epilog=COHORT)
@click.argument("cohort", nargs=-1, required=True)
@_joining
@click.option("--by", type=click.Choice(["patient", "visit"]), default="patient", show_default=True,
              help="One row per patient, or one per stool sample.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="A .parquet or .csv file.")  # fmt: skip
def features(cohort: tuple[str, ...], out: Path, **joining: Any) -> None:
    """Join each COHORT's taxa, immune measurements and clinical data, one row per patient."""
    from features.cohort import read_cohort
    from features.landmark import landmark_table, pooled
    from features.settings import settings
    from taxokine.reports import table_report

    table = pooled([landmark_table(read_cohort(name, settings().data), **joining) for name in cohort])
    table.write(out)
    click.echo(table_report(table))
    click.echo(f"wrote {out}")


@main.command(epilog=COHORT)
@click.option("--cohorts", required=True, callback=_listed, metavar="COHORT,…", help="Cohorts to learn from.")
@click.option("--outcome", required=True, type=click.Choice([*_RESPONSES, "toxicity", *_DATED]),
              help="What to predict.")  # fmt: skip
@click.option("--grade", type=click.Choice(["any", "2", "3", ""]), default="", show_default=False,
              help="Of any grade, or of this CTCAE grade and above; needed for toxicity and for its time.")  # fmt: skip
@click.option("--families", default="elastic_net,random_forest,xgboost", show_default=True, metavar="FAMILY,…",
              callback=_one_of(("elastic_net", "random_forest", "xgboost")),
              help="Families of classifiers.")  # fmt: skip
@click.option("--blocks", default="taxa,immune,clinical", show_default=True, metavar="BLOCK,…",
              callback=_one_of(("taxa", "immune", "clinical")),
              help="Blocks of features; every set of them is tried.")  # fmt: skip
@_joining
@click.option("--representation", default="clr", show_default=True, metavar="REPRESENTATION,…",
              callback=_one_of(("clr", "presence", "rank", "genus_clr", "genus_presence", "diversity")),
              help="What becomes of the taxa; of several, the one that does best on inner left-out rows.")  # fmt: skip
@click.option("--min-prevalence", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Share of training samples in which a taxon must be found.")  # fmt: skip
@click.option("--pool-labels", is_flag=True, help="Pool published labels although they differ in meaning.")
@click.option("--waive", default="", callback=_listed, metavar="CODE,…",
              help="Errors of the audit to train in spite of; the card repeats them.")  # fmt: skip
@click.option("--folds", "n_folds", type=click.IntRange(2), default=5, show_default=True, help="Folds of each repeat.")
@click.option("--repeats", type=click.IntRange(1), default=2, show_default=True,
              help="How often all of validation is repeated, each time with another seed.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--permutations", type=click.IntRange(0), default=0, show_default=True,
              help="How often to refit everything to permuted outcomes; promotion needs 200 or so.")  # fmt: skip
@click.option("--workers", type=int, default=-1, show_default="one a core",
              help="Threads; the results are the same whatever their number.")  # fmt: skip
def train(grade: str, **options: Any) -> None:
    """Launch one tracked experiment: validate, fit, log and register.

    \u0008
    taxokine train --cohorts lee_2022,mitox --outcome toxicity --grade any
    taxokine train --cohorts lee_2022,frankel_2017,mitox --outcome objective_response --blocks taxa,clinical

    The data are audited first. Each family is fitted to each set of blocks, one MLflow run each, under one parent run,
    beside the baselines. Validation is nested cross-validation by patient, and leave-one-cohort-out where there are
    several cohorts or centres. The best is registered under the outcome's name with the alias "candidate".

    Survival and the time to toxicity need cohorts that date events; their models are compared, and not registered.
    """
    from taxokine.progress import bars
    from taxokine.reports import result_report, survival_report
    from training.experiment import Experiment, train

    experiment = Experiment(grade=grade or None, **options)
    if experiment.outcome in _DATED:
        from training.survival import train_survival

        click.echo(survival_report(train_survival(experiment, bars())))
    else:
        click.echo(result_report(train(experiment, bars())))


@main.command(epilog=COHORT)
@click.argument("cohort")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True,
              help="The report's folder: new, empty, or an earlier report, which is replaced.")  # fmt: skip
@click.option("--windows", default="7-28,90-", show_default=True, metavar="DAYS,…",
              help="Windows after day 0 that are compared with the baseline; fix them before you look.")  # fmt: skip
@click.option("--stop-above", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.3,
              show_default=True, metavar="RATE",
              help="Rate of events of grade 3 or above at which a safety board would stop.")  # fmt: skip
def study(cohort: str, out: Path, windows: str, stop_above: float) -> None:
    """Analyse a trial: its patients, safety, cytokines, microbiome and donors, in one run and one report.

    \u0008
    taxokine study davar_2021 --out report/
    taxokine study mine.yaml --out report/

    The report is one page that reads on screen and prints to A4, with every figure as SVG and PNG and every table as
    CSV beside it. A section appears when its data exist; a line says what is missing otherwise. Each number has its
    method, its n and its interval, and the methods are written out for a paper. MLflow keeps the same files in one run.
    """
    from features.trajectories import windows_after
    from taxokine.progress import bars
    from taxokine.reports import study_report
    from training.study.study import run_study

    click.echo(study_report(run_study(cohort, out, bars(), windows=windows_after(windows), stop_above=stop_above)))


@main.command()
@click.option("--response-rate", type=float, default=0.4, show_default=True, metavar="RATE",
              help="Response rate hoped for; also the share of responders for the AUROC.")  # fmt: skip
@click.option("--historical-rate", type=float, default=0.2, show_default=True, metavar="RATE",
              help="Response rate known without the treatment.")  # fmt: skip
@click.option("--auroc", type=float, default=0.75, show_default=True,
              help="AUROC of a score fixed beforehand, shown against 0.5.")  # fmt: skip
@click.option("--approach", type=float, default=0.5, show_default=True, metavar="SDS",
              help="Approach to the own donor beyond unrelated donors, in SDs between patients.")  # fmt: skip
@click.option("--per-donor", type=int, default=2, show_default=True, metavar="N", help="Patients that share a donor.")
@click.option("--donor-correlation", type=float, default=0.2, show_default=True, metavar="R",
              help="Correlation of approaches of patients who share a donor.")  # fmt: skip
@click.option("--fold-change", type=float, default=2, show_default=True, metavar="RATIO",
              help="Change of a cytokine from baseline.")  # fmt: skip
@click.option("--between-sd", type=float, default=0.5, show_default=True, metavar="LOG2",
              help="SD of patients' true changes, of log2 concentrations.")  # fmt: skip
@click.option("--within-sd", type=float, default=1, show_default=True, metavar="LOG2",
              help="SD of a patient's repeated draws; 1.0 is the median over the analytes of momspi.")  # fmt: skip
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Two-sided level of each test.")
@click.option("--power", type=float, default=0.8, show_default=True, help="Chance to show the effect that is enough.")
@click.option("--most", type=int, default=200, show_default=True, metavar="N", help="The most patients looked at.")
@click.option("--simulations", type=int, default=2000, show_default=True, metavar="N", help="Trials for each point.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="plan", show_default=True,
              help="Folder of plan.svg, plan.png and plan.csv.")  # fmt: skip
def plan(out: Path, **options: Any) -> None:
    """How many patients the next trial needs to show an effect, by simulation, as curves.

    \u0008
    taxokine plan --response-rate 0.4 --historical-rate 0.2
    taxokine plan --fold-change 1.5 --within-sd 0.8 --power 0.9

    Four effects are asked at once: a response rate against a known one, an AUROC against 0.5, the approach to the own
    donor, and a cytokine's change. The answers name each test and what it assumes. Beside the effect as stated, the
    figure shows three quarters of it, since small trials overstate effects, and none, where the curve is the rate of
    false alarms. Set each effect to the least that would matter to a patient, not to what a small trial found.
    """
    from taxokine.progress import bars
    from taxokine.reports import plan_report
    from training.study.plan import Plan, goals, planned, write_plan

    asked, progress = Plan(**options), bars()
    progress.begin("simulating trials", len(goals(asked)))
    found = planned(asked, progress.advance)
    write_plan(out, asked, found)
    click.echo(plan_report(found, out))


@main.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--patients", "n_patients", type=int, metavar="N", help="Patients; --five has its own.  [default: 120]")
@click.option("--donors", "n_donors", type=int, metavar="N", help="Donors, shared evenly.  [default: 6]")
@click.option("--taxa", "n_taxa", type=int, metavar="N", help="Species.  [default: 300]")
@click.option("--effect", type=float, metavar="FACTOR",
              help="Factor on the causes of response, harm and survival; 0 plants none.  [default: 1]")  # fmt: skip
@click.option("--seed", type=int, help="Two trials of one seed are equal to the byte.  [default: 0]")
@click.option("--five", type=click.Choice(["all", "first"]),
              help="Five patients who live 2.5, 7.4, 8.3, 28.5 and 52.3 months; all die, or the first.")  # fmt: skip
def simulate(out: Path, five: Literal["all", "first"] | None, **options: Any) -> None:
    """Simulate an FMT + ICI trial with known causes, and write its files and manifest into OUT.

    \u0008
    taxokine simulate trial/ --patients 50
    taxokine study trial/manifest.yaml --out report/

    Beside what a hospital would have stand causes.json and truth.csv: what was planted. Everything says that it is
    simulated.
    """
    from features.simulator import simulate_five, simulate_trial

    given = {name: value for name, value in options.items() if value is not None}
    click.echo(simulate_trial(out, **given) if five is None else simulate_five(out, five, **given))


@main.command()
@click.argument("model", metavar="OUTCOME[/VERSION|@ALIAS]")
@click.pass_context
def promote(ctx: click.Context, model: str) -> None:
    """Make a registered model the champion, if its evidence passes every gate.

    \u0008
    taxokine promote objective_response            its candidate
    taxokine promote objective_response/3          version 3
    taxokine promote toxicity_any@candidate-taxa   whatever an alias names

    The gates: the prediction interval of the AUROC in a new cohort lies above 0.5; permuted outcomes seldom give as
    high an AUROC (train with --permutations 200); taxa and immune blocks add to clinical and technical covariates; the
    Brier score is no worse than the prevalence's; probabilities are calibrated; the patients suffice by Riley's
    criteria; the audit of the data found no error, waived or not.

    What each gate found is kept as a tag of the version, passed or not; the exit status is 1 where it is refused. A
    champion is served before a candidate; a simulated one goes on saying that it is.
    """
    from taxokine.reports import promotion_report
    from training.evidence.promotion import promote

    promotion = promote(model)
    click.echo(promotion_report(promotion))
    ctx.exit(0 if promotion.granted else 1)


@main.command(epilog="MODEL is NAME, NAME@ALIAS or NAME/VERSION in the registry, or a bundle's folder.")
@click.argument("model")
@click.argument("source", metavar="COHORT_OR_FILE")
@_joining
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="A .parquet or .csv file.")  # fmt: skip
def predict(model: str, source: str, out: Path, **joining: Any) -> None:
    """Answer for many patients: a cohort, or a file that 'taxokine features' wrote."""
    from taxokine.batch import write_predictions

    click.echo(write_predictions(model, source, out, joining))


@main.command(epilog=COHORT)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes, each of one thread.")
@click.option("--alias", help='Serve this registry alias; "champion", else "candidate", when left out.')
@click.option("--clinic", metavar="COHORT", help="List this cohort's patients as candidates on the pages.")
def serve(**options: Any) -> None:
    """Serve explained predictions, to people as pages and to programs over HTTP, on this machine only unless told.

    \u0008
    taxokine users add anna                      let someone sign in
    taxokine serve --clinic mine.yaml            her patients at http://127.0.0.1:8000

    Programs need an API key: at the first start one is made and shown once, 'taxokine keys' makes more, and
    TAXOKINE_API_KEY sets one instead. People sign in: 'taxokine users add NAME' lets them.

    Users and keys are kept, as hashes, in the database that TAXOKINE_DATABASE names: a file in the folder that
    TAXOKINE_HOME names when left out, or postgresql://USER:PASSWORD@HOST/DATABASE. Its tables are made, and brought up
    to date, at the start.
    """
    from serving.main import serve

    serve(**options)


_ROLES = click.Choice(["clinician", "researcher"])
_from_stdin = click.option("--password-stdin", "from_stdin", is_flag=True,
                           help="Read the password from the first line of standard input.")  # fmt: skip


def _asked_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return click.prompt("Password, at least 12 characters", hide_input=True, confirmation_prompt="Once more")


@main.group()
def users() -> None:
    """Say who may sign in at the server, and as what.

    \u0008
    taxokine users add anna                       a clinician
    taxokine users add boris --role researcher
    taxokine users password anna                  when she has forgotten hers
    taxokine users remove boris

    A clinician asks about patients; a researcher also sees models, their evidence and drift. What is changed here holds
    at once in running servers. Five wrong passwords under one name lock it for up to 15 minutes; a session ends after
    8 hours, or 1 hour unused.
    """


@users.command("add")
@click.argument("name")
@click.option("--role", type=_ROLES, default="clinician", show_default=True, help="What the user may see.")
@_from_stdin
def users_add(name: str, role: Literal["clinician", "researcher"], from_stdin: bool) -> None:
    """Let NAME sign in; the password is asked for twice, and kept as an Argon2id hash.

    \u0008
    taxokine users add anna
    pass show taxokine/boris | taxokine users add boris --role researcher --password-stdin

    A name has no spaces; upper and lower case are the same. A removed user is let in again.
    """
    from serving.accounts import open_accounts

    open_accounts().add_user(name, role, _asked_password(from_stdin))
    click.echo(f"{name} can sign in, as {role}")


@users.command("list")
def users_list() -> None:
    """List the users: name, role, since when, and whether removed."""
    from serving.accounts import open_accounts

    for user in open_accounts().users():
        removed = f"   removed {user.disabled:%Y-%m-%d}" if user.disabled else ""
        click.echo(f"{user.name:<22}{user.role:<13}{user.created:%Y-%m-%d}{removed}")


@users.command("password")
@click.argument("name")
@_from_stdin
def users_password(name: str, from_stdin: bool) -> None:
    """Give NAME a new password, and end the user's sessions."""
    from serving.accounts import open_accounts

    open_accounts().set_password(name, _asked_password(from_stdin))
    click.echo(f"{name} has a new password, and must sign in again")


@users.command("role")
@click.argument("name")
@click.argument("role", type=_ROLES)
def users_role(name: str, role: Literal["clinician", "researcher"]) -> None:
    """Give NAME another role, and end the user's sessions."""
    from serving.accounts import open_accounts

    open_accounts().set_role(name, role)
    click.echo(f"{name} is a {role} now, and must sign in again")


@users.command("remove")
@click.argument("name")
def users_remove(name: str) -> None:
    """Let NAME sign in no more, and end the user's sessions; the name stays listed, as removed."""
    from serving.accounts import open_accounts

    open_accounts().remove_user(name)
    click.echo(f"{name} can sign in no more")


@main.group()
def keys() -> None:
    """Make and revoke API keys, by which programs ask the server.

    \u0008
    KEY=$(taxokine keys add ward-3)
    curl http://127.0.0.1:8000/v1/models -H "Authorization: Bearer $KEY"
    taxokine keys revoke ward-3

    Give each program a key of its own, so that one can be revoked alone. A key is shown once; only its SHA-256 is kept.
    Running servers heed a change within 5 seconds, unless TAXOKINE_API_KEY gives them their one key.
    """


@keys.command("add")
@click.argument("name")
def keys_add(name: str) -> None:
    """Make an API key called NAME, and print it, the only time it is seen."""
    from serving.accounts import open_accounts

    click.echo(open_accounts().make_key(name))
    click.echo("shown this once; only its hash is kept", err=True)


@keys.command("list")
def keys_list() -> None:
    """List the API keys: name, last four characters, since when, and whether revoked."""
    from serving.accounts import open_accounts

    for key in open_accounts().known_keys():
        revoked = f"   revoked {key.revoked:%Y-%m-%d}" if key.revoked else ""
        click.echo(f"{key.name:<22}{'…' + (key.last_four or '????'):<8}{key.made:%Y-%m-%d}{revoked}")


@keys.command("revoke")
@click.argument("name")
def keys_revoke(name: str) -> None:
    """Let the API key called NAME open nothing any more."""
    from serving.accounts import open_accounts

    open_accounts().revoke_key(name)
    click.echo(f"{name} is revoked; running servers refuse it within 5 seconds")


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(port: int) -> None:
    """Open the MLflow UI on the store that MLFLOW_TRACKING_URI names, on this machine only."""
    import os

    from taxokine.ui import ui_addresses, ui_command

    command = ui_command(port)
    click.echo(ui_addresses(port))
    sys.stdout.flush()
    os.execv(command[0], command)


@main.command()
@click.option("--cohorts", default="", help="Real cohorts instead of a simulated trial, parted by spaces.")
@click.option("--once", is_flag=True, help="End after printing one explained answer.")
def demo(cohorts: str, once: bool) -> None:
    """Do it all once: read or simulate, train, register, serve, and explain one candidate's answer."""
    from taxokine.demo import run_demo

    run_demo(tuple(cohorts.split()), once=once)

"""Cohorts: `taxokine cohorts` and `taxokine features`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Unpack

import click

from taxokine.cli.options import COHORT, LandmarkOptions, landmark_options


@click.group()
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
    from features.cohort import locate_files
    from features.manifest import load_manifest
    from features.settings import settings

    for name in cohort:
        for file in locate_files(load_manifest(name), settings().data, fetch=True, progress=True).values():
            click.echo(file)


@cohorts.command("check", epilog=COHORT)
@click.argument("cohort", nargs=-1, required=True)
@click.option("--full", is_flag=True, help="Name every patient, sample or key of each finding.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the findings to a .csv or .parquet file, a row for each patient, sample or key.")  # fmt: skip
@click.pass_context
def cohorts_check(ctx: click.Context, cohort: tuple[str, ...], full: bool, out: Path | None) -> None:
    """Read cohorts as their manifests say, report what is in them, and audit them, alone and together.

    The exit status is 1 where an error was found: something that would make a model's result wrong, or a manifest that
    is not finished.
    """
    from features.audit import audit
    from features.cohort import read_cohort
    from features.settings import settings
    from features.tables.output import write_table
    from taxokine.reports.cohorts import audit_report, cohort_report, findings_table
    from taxokine.terminal import show

    members = [read_cohort(name, settings().data) for name in dict.fromkeys(cohort)]
    for member in members:
        show(cohort_report(member))
    findings = audit(members)
    show(audit_report(findings, full=full))
    if out is not None:
        write_table(findings_table(findings), out, {})
        click.echo(f"wrote {out}")
    ctx.exit(any(finding.severity == "error" for finding in findings))


@cohorts.command("init")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--name", default="my_cohort", show_default=True, help="The cohort's name.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the draft to this new file, in the folder of FILES, whole or not at all.")  # fmt: skip
def cohorts_init(files: tuple[Path, ...], name: str, out: Path | None) -> None:
    """Draft a manifest from your own FILES, or from those of a folder: marked are guesses, and what you must finish.

    \u0008
    taxokine cohorts init profiles.tsv patients.csv cytokines.csv --out mine.yaml
    taxokine cohorts init data/ --out data/mine.yaml
    """
    from features.draft import draft_manifest
    from features.errors import InputError
    from features.tables.output import write_new_text

    files = tuple(file for path in files for file in _files_of(path))
    if out is not None:
        elsewhere = [file for file in files if file.resolve().parent != out.resolve().parent]
        if elsewhere:
            raise InputError(
                f"{elsewhere[0]} does not lie in the folder of {out}, where the manifest's files are looked for; write "
                "the draft there, or move the file"
            )
    text = draft_manifest(files, name)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_new_text(text, out)
        click.echo(f"wrote {out}: settle each TODO, then run 'taxokine cohorts check {out}'")


_WITHOUT_TABLE = {
    ".py", ".r", ".rmd", ".qmd", ".ipynb", ".sh", ".md", ".rst", ".html", ".htm", ".pdf", ".docx", ".doc", ".pptx",
    ".png", ".jpg", ".jpeg", ".svg", ".tif", ".tiff", ".log",
}  # fmt: skip
"""Endings of what lies beside the tables of a folder; a file that is named itself is read whatever its ending."""
_TEXTS = {"readme", "license", "licence", "copying", "notice", "citation", "changelog", "changes", "authors"}
"""Names without ending of texts that lie beside the tables of a folder."""


def _files_of(path: Path) -> list[Path]:
    """Return a file, or those of a folder but for hidden files, manifests, documents and programs."""
    from features.errors import InputError

    if path.is_file():
        return [path]
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    files = [file for file in files if file.suffix not in (".yaml", ".yml")]
    texts = [file for file in files if file.stem.lower() in _TEXTS and file.suffix.lower() in ("", ".txt")]
    tables = [file for file in files if file.suffix.lower() not in _WITHOUT_TABLE and file not in texts]
    if ignored := [file.name for file in files if file not in tables]:
        click.echo(f"not read, since their names are not those of tables: {', '.join(ignored)}", err=True)
    if not tables:
        raise InputError(f"{path}: has no tables; name the folder that holds the tables, or the files themselves")
    return tables


@click.command(epilog=COHORT)
@click.argument("cohort", nargs=-1, required=True)
@landmark_options
@click.option("--by", "row_per", type=click.Choice(["patient", "visit"]), default="patient", show_default=True,
              help="One row per patient, or one per stool sample.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="A .parquet or .csv file.")  # fmt: skip
def features(
    cohort: tuple[str, ...], out: Path, row_per: Literal["patient", "visit"], **landmark: Unpack[LandmarkOptions]
) -> None:
    """Join each COHORT's taxa, immune measurements and clinical data, one row per patient."""
    from features.cohort import read_cohort
    from features.landmark import LandmarkSpec, landmark_table
    from features.pooling import pool_tables
    from features.settings import settings
    from taxokine.reports.cohorts import table_report
    from taxokine.terminal import show

    spec = LandmarkSpec(row_per=row_per, **landmark)
    table = pool_tables([landmark_table(read_cohort(name, settings().data), spec) for name in cohort])
    table.write(out)
    show(table_report(table))
    click.echo(f"wrote {out}")

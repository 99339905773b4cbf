"""The record of questions: `taxokine audit`."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from models.patient_input import Candidate
    from serving.record.store import RecordStore

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """Show and verify the record of questions: who asked about whom, when, by which models.

    \u0008
    taxokine audit list --patient p17            who asked about a patient
    taxokine audit head > head.json              keep this line elsewhere, such as with the auditor
    taxokine audit verify --head head.json       nothing before it was altered, removed or moved
    taxokine audit replay 42                     the same answer once more
    taxokine audit erase p17                     destroy the patient's key

    A server records each question before it answers; TAXOKINE_RECORD=inputs keeps the inputs too, encrypted under a key
    for each patient. The record's own key is the file record.key in TAXOKINE_HOME, or TAXOKINE_RECORD_KEY: keep a copy
    of it apart from the database. The audit of a cohort's data is 'taxokine cohorts check'.
    """


@audit.command("list")
@click.option("--patient", metavar="ID", help="Only the questions about this patient.")
def audit_list(patient: str | None) -> None:
    """List the questions: number, time, who asked, where, and the models that answered."""
    for entry in _store().entries(patient):
        models = ", ".join(json.loads(entry.models))
        click.echo(f"{entry.number:>7}  {entry.time:%Y-%m-%d %H:%M:%S}  {entry.asker:<22}{entry.route:<32}{models}")


@audit.command("head")
def audit_head() -> None:
    """Print the end of the record as one line; a copy kept elsewhere shows later that nothing was removed."""
    click.echo(_store().head().to_json())


@audit.command("verify")
@click.option("--head", "head_file", type=FILE,
              help="A line of 'taxokine audit head'; without it, removal from the end leaves no trace.")  # fmt: skip
def audit_verify(head_file: Path | None) -> None:
    """Find what was altered, removed, inserted or moved in the record; exit with status 1 if anything was."""
    from serving.record.chain import RecordHead

    head = RecordHead.from_json(head_file.read_text(encoding="utf-8")) if head_file else None
    store = _store()
    findings = store.verify(head)
    for finding in findings:
        click.echo(finding)
    if findings:
        click.get_current_context().exit(1)
    proof = f"and holds the head of entry {head.number}" if head else "(no --head: its end may have been removed)"
    count = store.head().number
    click.echo(f"{count} {'entry' if count == 1 else 'entries'}: the chain is whole {proof}")


@audit.command("replay")
@click.argument("number", type=click.IntRange(1))
@click.option("--request", "request_file", type=FILE,
              help="The request as it was sent, where the record keeps only its digest.")  # fmt: skip
def audit_replay(number: int, request_file: Path | None) -> None:
    """Predict anew what entry NUMBER records, by the same versions of the models; exit with status 1 if it differs."""
    from models.registry import find_model
    from serving.record.replay import replay

    candidate = _read_candidate(request_file) if request_file else None
    result = replay(_store(), number, lambda name, version: find_model(f"{name}/{version}"), candidate)
    entry = result.entry
    click.echo(f"entry {entry.number}: {entry.route} by {entry.asker}, {entry.time:%Y-%m-%d %H:%M:%S} UTC")
    for item in result.probabilities:
        recorded = item.recorded
        click.echo(
            f"  {recorded.outcome} by {recorded.model}/{recorded.version}: recorded {_text(recorded.probability)}, "
            f"now {_text(item.probability)}: {'the same' if item.is_same else 'DIFFERENT'}"
        )
    if result.not_replayed:
        click.echo(f"  not computed anew: {len(result.not_replayed)} probabilities of changes, donors or lists")
    if not result.is_same:
        click.get_current_context().exit(1)


@audit.command("erase")
@click.argument("patient")
@click.confirmation_option(prompt="Destroy the key of this patient? Nothing can open the entries afterwards")
def audit_erase(patient: str) -> None:
    """Destroy the key of PATIENT, the id as it was sent; the entries stay in the chain, and nothing opens them.

    Backups of the database from before still hold the key, encrypted: delete them too.
    """
    count = _store().erase(patient, f"shell {getpass.getuser()}"[:80])
    click.echo(f"the key is destroyed: {count} {'entry' if count == 1 else 'entries'} can no longer be opened")


def _store() -> RecordStore:
    # As the accounts: no help waits for the library of databases.
    from serving.record.recorder import open_store

    return open_store()


def _read_candidate(file: Path) -> Candidate:
    from pydantic import ValidationError

    from features.errors import FileError
    from serving.schemas import PredictionRequest

    try:
        return PredictionRequest.model_validate_json(file.read_bytes()).candidate()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise FileError(f"{place}: {problem['msg']}; give the JSON that was sent to the API", file=file) from error


def _text(probability: float | None) -> str:
    return "none" if probability is None else f"{probability:.6f}"

"""The chain of entries: the link of each, and what a verification finds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from features.errors import InputError
from serving.record.keys import RecordKey

FIRST_LINK = bytes(32)
"""What stands in for the link before the first entry."""
ERASURE = "erasure"
"""The route of the entry that says that a patient's key was destroyed."""
REPORT = "POST /v1/outcomes"
"""The route of an entry that reports what became of a patient."""


@dataclass(frozen=True)
class Entry:
    """One row of the record.

    Attributes
    ----------
    number : int
        From 1, without gaps.
    time : datetime
    asker, request_id, route : str
    patient_id : int
        Row of the patient's key.
    models : str
        Names and versions, as JSON.
    digest : bytes
        Keyed hash of the inputs, under the patient's key.
    sealed : bytes
        Answer and inputs, encrypted under the patient's key.
    """

    number: int
    time: datetime
    asker: str
    request_id: str
    route: str
    patient_id: int
    models: str
    digest: bytes
    sealed: bytes

    def link(self, key: RecordKey, previous: bytes) -> bytes:
        """Return the link of this entry, which binds all that it holds to the link before it."""
        values = [
            self.number, self.time.astimezone(UTC).isoformat(timespec="microseconds"), self.asker, self.request_id,
            self.route, self.patient_id, self.models, self.digest.hex(), self.sealed.hex(),
        ]  # fmt: skip
        return key.link(previous, json.dumps(values, separators=(",", ":")).encode())


@dataclass(frozen=True)
class RecordHead:
    """The end of the record at some time; a copy kept elsewhere shows later that nothing before it was removed.

    Attributes
    ----------
    number : int
        Entries up to this time.
    link : str
        Link of the last of them, in hexadecimal digits.
    """

    number: int
    link: str

    def to_json(self) -> str:
        """Return the head as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RecordHead:
        """Read a head.

        Raises
        ------
        InputError
            The text is no head.
        """
        try:
            return _HEAD.validate_json(text)
        except ValidationError as error:
            raise InputError("this is no head of a record; give the line that 'taxokine audit head' printed") from error


_HEAD: TypeAdapter[RecordHead] = TypeAdapter(RecordHead)


def entry_context(number: int) -> bytes:
    """Return what the sealed content of an entry is bound to."""
    return b"entry %d" % number


def chain_findings(key: RecordKey, links: Iterable[tuple[Entry, bytes]], head: RecordHead | None = None) -> list[str]:
    """Return what is wrong with a record, in the order of its entries; empty where nothing is.

    Parameters
    ----------
    key : RecordKey
    links : iterable of (Entry, bytes)
        Entries with their links, by number.
    head : RecordHead, optional
        An earlier end of the record; without one, entries removed from the end leave no trace.
    """
    findings: list[str] = []
    number, previous, head_link = 0, FIRST_LINK, FIRST_LINK if head and head.number == 0 else None
    for entry, link in links:
        if entry.number > number + 1:
            missing = f"entries {number + 1} to {entry.number - 1} are"
            missing = missing if entry.number > number + 2 else f"entry {number + 1} is"
            findings.append(f"{missing} missing: removed from the record")
        elif entry.link(key, previous) != link:
            findings.append(f"entry {entry.number} does not fit the one before it: altered, inserted or moved")
        number, previous = entry.number, link
        if head and number == head.number:
            head_link = link
    if head is None or (head_link is not None and head_link.hex() == head.link):
        return findings
    if number < head.number:
        return [*findings, f"the record ends at entry {number}, and had {head.number}: its end was removed"]
    return [*findings, f"entry {head.number} is not the one whose link the head states: the record was rewritten"]

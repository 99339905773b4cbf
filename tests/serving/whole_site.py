"""A server with everything that a server can have, and one of each kind of those who ask it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from features.cohort import read_cohort
from features.transplants import cohort_transplants
from models.predict import ServedModel
from serving.accounts import Accounts
from serving.app import create_app
from serving.cds_hooks.clients import read_clients
from serving.cds_hooks.service import CdsHooks
from serving.cds_hooks.tokens import TokenVerifier
from serving.clinic import read_clinic
from serving.database import open_database
from serving.oidc.provider import Provider
from serving.record.keys import RecordKey
from serving.record.recorder import Recorder
from serving.record.store import RecordStore
from taxokine.simulation import Trial, simulate_trial
from training.engraftment.run import validated_bundle
from training.progress import Progress

from .conftest import running
from .ehr import BASE, bearer, write_clients

PASSWORD = "a long enough password"


@dataclass(frozen=True)
class Site:
    """A running server, and its accounts."""

    address: str
    app: FastAPI
    accounts: Accounts
    key: str
    revoked_key: str

    def client(self, role: str, path: str = "/") -> httpx.Client:
        """Return a client who asks for a path as one of `ROLES`, without following redirects."""
        headers, cookies = {}, {}
        match role:
            case "key":
                headers["Authorization"] = f"Bearer {self.key}"
            case "revoked key":
                headers["Authorization"] = f"Bearer {self.revoked_key}"
            case "client of CDS Hooks":
                headers |= bearer(path)
            case "clinician" | "researcher":
                cookies["taxokine_session"] = str(self.accounts.sign_in(role, PASSWORD))
            case "clinician of the provider" | "researcher of the provider":
                kind = "researcher" if role.startswith("researcher") else "clinician"
                token = self.accounts.sign_in_identity("https://idp.example", role, f"{kind}@idp.example", kind)
                cookies["taxokine_session"] = token
            case "removed user":
                self.accounts.add_user("removed", "researcher", PASSWORD)
                cookies["taxokine_session"] = str(self.accounts.sign_in("removed", PASSWORD))
                self.accounts.remove_user("removed")
            case _:
                assert role == "nobody"
        return httpx.Client(base_url=self.address, headers=headers, cookies=cookies)


ROLES = (
    "nobody",
    "removed user",
    "clinician",
    "clinician of the provider",
    "researcher",
    "researcher of the provider",
    "key",
    "revoked key",
    "client of CDS Hooks",
)


@contextmanager
def whole_site(models: Mapping[str, list[ServedModel]], folder: Path) -> Iterator[Site]:
    """Run a server with a clinic of transplanted patients, donors, CDS Hooks, a record and an identity provider."""
    cohort = simulate_trial(folder / "trial", Trial(n_patients=9, n_donors=3, n_taxa=40, seed=2))
    transplants = cohort_transplants(read_cohort(cohort, cohort.parent))
    engraftment = validated_bundle(transplants, ("simulated_fmt_ici",), Progress())
    engine = open_database(f"sqlite:///{folder}/taxokine.db")
    # The hashes of the default cost 64 MiB and a tenth of a second each.
    accounts = Accounts(engine, hasher=PasswordHasher(time_cost=1, memory_cost=64))
    for role in ("clinician", "researcher"):
        accounts.add_user(role, role, PASSWORD)
    key, revoked_key = accounts.keys.add("ward"), accounts.keys.add("revoked")
    accounts.keys.revoke("revoked")
    clients = read_clients(write_clients(folder))
    app = create_app(
        models,
        accounts,
        read_clinic(str(cohort), (0.0,)),
        engraftment=engraftment,
        recorder=Recorder(RecordStore(engine, RecordKey(b"k" * 32), "inputs")),
        cds_hooks=CdsHooks(clients, TokenVerifier(clients, BASE, engine), BASE, engine),
        provider=Provider("http://127.0.0.1:1", "taxokine", "a secret", BASE, "roles"),
    )
    with running(app) as address:
        yield Site(address, app, accounts, key, revoked_key)

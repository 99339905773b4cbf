"""Accounts of the server: `taxokine users` and `taxokine keys`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from serving.accounts import Accounts

ROLES = click.Choice(["clinician", "researcher"])
password_stdin = click.option("--password-stdin", "from_stdin", is_flag=True,
                           help="Read the password from the first line of standard input.")  # fmt: skip


def _accounts() -> Accounts:
    # The library of databases takes a third of a second to import; no help waits for it.
    from serving.accounts import open_accounts

    return open_accounts()


def _ask_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return click.prompt("Password, at least 12 characters", hide_input=True, confirmation_prompt="Once more")


@click.group()
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
@click.option("--role", type=ROLES, default="clinician", show_default=True, help="What the user may see.")
@password_stdin
def users_add(name: str, role: Literal["clinician", "researcher"], from_stdin: bool) -> None:
    """Let NAME sign in; the password is asked for twice, and kept as an Argon2id hash.

    \u0008
    taxokine users add anna
    pass show taxokine/boris | taxokine users add boris --role researcher --password-stdin

    A name has no spaces; upper and lower case are the same. A removed user is let in again.
    """
    _accounts().add_user(name, role, _ask_password(from_stdin))
    click.echo(f"{name} can sign in, as {role}")


@users.command("list")
def users_list() -> None:
    """List the users: name, role, since when, and whether removed."""
    for user in _accounts().users():
        removed = f"   removed {user.disabled:%Y-%m-%d}" if user.disabled else ""
        click.echo(f"{user.name:<22}{user.role:<13}{user.created:%Y-%m-%d}{removed}")


@users.command("password")
@click.argument("name")
@password_stdin
def users_password(name: str, from_stdin: bool) -> None:
    """Give NAME a new password, and end the user's sessions."""
    _accounts().set_password(name, _ask_password(from_stdin))
    click.echo(f"{name} has a new password, and must sign in again")


@users.command("role")
@click.argument("name")
@click.argument("role", type=ROLES)
def users_role(name: str, role: Literal["clinician", "researcher"]) -> None:
    """Give NAME another role, and end the user's sessions."""
    _accounts().set_role(name, role)
    click.echo(f"{name} is a {role} now, and must sign in again")


@users.command("remove")
@click.argument("name")
def users_remove(name: str) -> None:
    """Let NAME sign in no more, and end the user's sessions; the name stays listed, as removed."""
    _accounts().remove_user(name)
    click.echo(f"{name} can sign in no more")


@click.group()
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
    click.echo(_accounts().keys.add(name))
    click.echo("shown only now; the database holds its hash", err=True)


@keys.command("signing")
@click.argument("file", type=click.Path(dir_okay=False))
def keys_signing(file: str) -> None:
    """Make a key that signs trained models: the private key in FILE, the public one in FILE.pub.

    \u0008
    taxokine keys signing trainer.pem
    TAXOKINE_SIGNING_KEY=trainer.pem taxokine train --cohorts mine.yaml --outcome objective_response
    taxokine serve --require-signed trainer.pem.pub

    Keep the private key where models are trained, and nowhere else. To change it, serve with both public keys until no
    model of the old one is served.
    """
    from pathlib import Path

    from models.signature import make_key_pair

    click.echo(f"{file} signs bundles; give {make_key_pair(Path(file))} to the server, and {file} to nobody")


@keys.command("list")
def keys_list() -> None:
    """List the API keys: name, last four characters, since when, and whether revoked."""
    for key in _accounts().keys.descriptions():
        revoked = f"   revoked {key.revoked:%Y-%m-%d}" if key.revoked else ""
        click.echo(f"{key.name:<22}{'…' + (key.last_four or '????'):<8}{key.created:%Y-%m-%d}{revoked}")


@keys.command("revoke")
@click.argument("name")
def keys_revoke(name: str) -> None:
    """Let the API key called NAME open nothing any more."""
    _accounts().keys.revoke(name)
    click.echo(f"{name} is revoked; running servers refuse it within 5 seconds")

"""Users and their sessions for the pages, and keys for the API."""

from serving.accounts.accounts import (
    FAILURE_WINDOW,
    LONGEST_IDLE,
    LONGEST_SESSION,
    MAX_FAILURES,
    MAX_FAILURES_EVERYWHERE,
    Accounts,
    User,
    Visitor,
    open_accounts,
)
from serving.accounts.credentials import ROLES, Role
from serving.accounts.keys import KEY_CACHE

__all__ = [
    "FAILURE_WINDOW",
    "KEY_CACHE",
    "LONGEST_IDLE",
    "LONGEST_SESSION",
    "MAX_FAILURES",
    "MAX_FAILURES_EVERYWHERE",
    "ROLES",
    "Accounts",
    "Role",
    "User",
    "Visitor",
    "open_accounts",
]

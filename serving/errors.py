"""Errors that only the server raises, and the HTTP status of every error."""

from __future__ import annotations

from features.errors import BundleError, DataMissing, InputError, ModelMissing, TaxokineError


class NotAuthorised(TaxokineError):
    """The request has no valid API key."""


class SignInRequired(NotAuthorised):
    """The page is for signed-in users, and the request belongs to no session."""


class NotPermitted(TaxokineError):
    """The signed-in user may not open this page, or the form comes from another site or session."""


class IdentityRefused(NotPermitted):
    """The identity provider did not vouch for the person, or gives the person no role."""


class NotServed(TaxokineError):
    """The server has no model, patient or cohort of this name."""


class TooLarge(TaxokineError):
    """The body of the request is larger than the server reads."""


class UnsupportedMedia(TaxokineError):
    """The body of the request is not declared as plain JSON."""


class NotAcceptable(TaxokineError):
    """The server writes its answer in none of the formats that the client accepts."""


class PrefetchMissing(TaxokineError):
    """A call of CDS Hooks lacks the resources that the service needs (status 412 of the specification)."""


class TooManyRequests(TaxokineError):
    """The client asks more often than it may.

    Attributes
    ----------
    wait : float
        Seconds after which the next request is taken.
    """

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class TooManyAttempts(TooManyRequests):
    """Too many recent attempts to sign in under this name failed."""


class Busy(TaxokineError):
    """The server has more work than it accepts; the same request may succeed later."""


class ProviderUnreachable(Busy):
    """The identity provider cannot be reached, or is not the configured one."""


class NotRecorded(Busy):
    """The question cannot be recorded, and the operator has not chosen to answer it nevertheless."""


class DatabaseError(TaxokineError):
    """The database cannot be opened, was upgraded by a newer version of Taxokine, or holds no API key."""


STATUS: dict[type[TaxokineError], int] = {
    NotAuthorised: 401,
    NotPermitted: 403,
    NotServed: 404,
    DataMissing: 404,
    NotAcceptable: 406,
    PrefetchMissing: 412,
    TooLarge: 413,
    UnsupportedMedia: 415,
    InputError: 422,
    TooManyRequests: 429,
    BundleError: 500,
    DatabaseError: 500,
    ModelMissing: 503,
    Busy: 503,
}
"""HTTP status of each error class; a subclass has the status of its nearest base in this table."""


def status_of(error: TaxokineError) -> int:
    """Return the HTTP status of an error: that of its class, or else of its nearest base class in `STATUS`."""
    return next((STATUS[base] for base in type(error).__mro__ if base in STATUS), 500)

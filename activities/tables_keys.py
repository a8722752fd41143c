"""What issuers published, as rows. The rules are those of `activities/tables.py`."""

from activities.tables import _Instant, _Key, _OptionalString, _Record


class IssuerKeyRow(_Record, table=True):
    """A public key that an issuer published; `body` is the JWK. It stays when the issuer has rotated it away."""

    __tablename__ = "issuer_key"
    issuer: _Key
    digest: _Key
    kid: _OptionalString = None
    body: bytes
    first_seen: _Instant

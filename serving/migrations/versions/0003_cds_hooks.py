"""CDS Hooks: the tokens of clients that came, and the feedback on cards."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "cds_tokens",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True, comment="SHA-256 of issuer and id of the token"),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "cds_feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("card", sa.String(64), nullable=False, comment="Id of the request in the record of questions"),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), comment="Code of the reason for which the card was overridden"),
    )

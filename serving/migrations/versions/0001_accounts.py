"""Users, their sessions and attempts to sign in, and API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.String(255), nullable=False, comment="Argon2id"),
        sa.Column("created", instant, nullable=False),
        sa.Column("disabled", instant),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True, comment="SHA-256 of the token"),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False, index=True),
        sa.Column("made", instant, nullable=False),
        sa.Column("seen", instant, nullable=False),
        sa.Column("expires", instant, nullable=False),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name_digest", sa.LargeBinary(32), nullable=False, index=True, comment="SHA-256 of the name"),
        sa.Column("at", instant, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True, comment="SHA-256 of the key"),
        sa.Column("last_four", sa.String(4)),
        sa.Column("made", instant, nullable=False),
        sa.Column("revoked", instant),
    )
    valid = sa.text("revoked IS NULL")
    op.create_index("uq_api_keys_name", "api_keys", ["name"], unique=True, sqlite_where=valid, postgresql_where=valid)

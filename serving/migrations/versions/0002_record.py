"""The record of questions: its entries, and the keys of patients."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "record_patients",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("pseudonym", sa.LargeBinary(32), unique=True, comment="Keyed hash of the id; null once erased"),
        sa.Column("wrapped_key", sa.LargeBinary(60), comment="The patient's key, encrypted; null once erased"),
    )
    op.create_table(
        "record_entries",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asker", sa.String(80), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("route", sa.String(80), nullable=False),
        sa.Column("patient_id", sa.Integer, sa.ForeignKey("record_patients.id"), nullable=False, index=True),
        sa.Column("models", sa.Text, nullable=False, comment="Names and versions, as JSON"),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, comment="Of the inputs, under the patient's key"),
        sa.Column("sealed", sa.LargeBinary, nullable=False, comment="Answer and inputs, under the patient's key"),
        sa.Column(
            "link", sa.LargeBinary(32), nullable=False, comment="Keyed hash of the entry and of the link before it"
        ),
    )

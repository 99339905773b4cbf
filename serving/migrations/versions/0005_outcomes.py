"""Reports of outcomes: which entry of the record reports on which prediction."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table."""
    entry = "record_entries.number"
    op.create_table(
        "outcome_reports",
        sa.Column("number", sa.Integer, sa.ForeignKey(entry), primary_key=True, autoincrement=False),
        sa.Column("prediction", sa.Integer, sa.ForeignKey(entry), nullable=False, index=True),
    )

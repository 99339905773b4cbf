"""Run by Alembic: within the transaction that `serving.database.open_database` holds."""

from alembic import context

from serving.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # MLflow's tables may lie in the same database, and have a version of their own.
    version_table="taxokine_version",
)
context.run_migrations()

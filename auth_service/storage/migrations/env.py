"""What Alembic runs, on the connection that `storage/migrate.py` hands over."""

from alembic import context

from auth_service.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    version_table=context.config.attributes["version_table"],
    include_name=context.config.attributes["include_name"],
)
# Joins the transaction of the connection, so that an upgrade is wholly there or not at all.
with context.begin_transaction():
    context.run_migrations()

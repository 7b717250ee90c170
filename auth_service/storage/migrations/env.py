"""What Alembic runs, on the connection that `storage/migrate.py` hands over."""

from alembic import context

from auth_service.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    # One transaction a migration, so that each is wholly there or not at all.
    transaction_per_migration=True,
    include_name=context.config.attributes["include_name"],
)
with context.begin_transaction():
    context.run_migrations()

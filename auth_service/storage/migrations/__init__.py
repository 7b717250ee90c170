"""Alembic's folder: how a database becomes what `schema.py` says. Shipped in the wheel."""

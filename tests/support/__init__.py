"""Real neighbours for the tests: PostgreSQL, PgBouncer, a bad network, our own service as a process, steady load."""

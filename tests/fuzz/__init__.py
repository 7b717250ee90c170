"""Requests that nobody thought of, made by schemathesis from the OpenAPI document: `python -m tests.fuzz`."""

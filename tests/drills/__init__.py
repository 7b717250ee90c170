"""Drills: a running service is broken on purpose, and a figure says how it took it.

One script a drill, each runnable alone: `python -m tests.drills.d2b_database_frozen [--full]`. All of them in their
short form: `make drills`. What must hold is in the design's security bar; each script repeats its part of it.
"""

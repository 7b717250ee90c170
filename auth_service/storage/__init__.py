"""SQL behind one door: `Database.transaction()` and `Database.autocommit()`.

Each module beside `database.py` holds the statements about one thing. None of them knows a token or a request.
"""

"""What every call passes through, one concern a file. `rpc/server.py` lists them in their order."""

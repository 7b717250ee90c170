"""`python -m auth_service` is `auth-service`."""

from auth_service.cli import main

main()

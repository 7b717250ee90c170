"""Pages for people: sign-in, one's own account, and administration. Written by the server; they need no script."""

"""The gateways of deploy/, real ones, in front of an application: who gets through, and what reaches it."""

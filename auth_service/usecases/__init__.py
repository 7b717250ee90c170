"""The stories. Each method reads top to bottom: facts from outside, a decision of the domain, one transaction."""

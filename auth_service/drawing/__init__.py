"""What the rules know, drawn for people: the command line and pages show the same. It knows the domain, and no door."""

"""What this service tells developers about itself: descriptors, an OpenAPI document, and pages made of the two."""

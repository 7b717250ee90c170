"""Envoy's `envoy.service.auth.v3.Authorization`: what it asks, and who answers. Served where there is a policy."""

SERVICE = "envoy.service.auth.v3.Authorization"
CHECK = f"/{SERVICE}/Check"

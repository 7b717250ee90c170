"""A stand-in facility, so that a newcomer can sign in at once: UOWS and Proposal Allocations behind one address.

It is for trying out and for tests, never for production: its passwords are in the README.
"""

from auth_service.demo.facility import Facility, running_facility

__all__ = ["Facility", "running_facility"]

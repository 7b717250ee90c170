"""The identity service: signs people in and issues tokens that other services verify by themselves."""

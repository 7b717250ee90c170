"""Facts from elsewhere: who a password belongs to, and which experiments a person may see. Rules live in `domain`."""

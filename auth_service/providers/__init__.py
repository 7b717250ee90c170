"""What is beyond us, or beyond the event loop: rules live in `domain`, and stories in `usecases`.

Facts from elsewhere: who a password belongs to (UOWS, our own accounts), and which experiments a person may see. What
leaves: mail, and events to a broker. What is too slow for the loop: hashing passwords, and judging how strong they are.
"""

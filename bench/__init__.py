"""How fast, how small and how soon: each figure beside what it is measured against, in one run.

The machine is noisy, so a figure is a ratio of two things measured in turns, and the median of its rounds counts.
Where a service is measured, what counts is the processor time that the *service* spent on a call while 32 were in
flight, floors and all: it is what bounds the calls that a core can answer, and it says the same whoever else is busy
on the machine. Calls per second are kept beside it in `results/latest.json`; they measure the load generator as well.
"""

"""Give up root, ask to die with the parent, become the server. `leash.spawn` runs this file; nobody imports it.

A program and not a preexec_fn: forking a process full of gRPC threads into Python code can deadlock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, dying_signal, uid, gid, *command = sys.argv[1:]
    if int(uid) >= 0:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    # After setuid, which clears it; exec keeps it, for it changes no credentials.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(dying_signal)) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        sys.exit("the process that wanted this server is already gone")
    # This interpreter ignores SIGPIPE for itself, and an ignored signal stays ignored across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()

"""A day on the channel, played by real processes on this machine's loopback: ``securechan demo``.

    cast        who plays: agencies, their administrators, five officers' devices
    processes   the relay and every device as a child process; short commands; all of them ended by their own id
    desk        one device as the story sees it: its process, its command line, what it is asked and what it hears
    narrator    what is told: calm lines for people, one object for scripts
    stage       the folder, the cast at work, and what is measured there
    founding, enrolling, talking, renewing, losing    the acts
    story       their order, and what is summed up

Nothing is faked: each figure was measured or read from an answer, and each claim is checked before it is told.
"""

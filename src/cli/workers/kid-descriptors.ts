// What a worker finds open when it starts. kid.ts puts it there; 3 is the channel to the supervisor.

/** Of what has been invalidated (changes-file.ts). */
export const changesFd = 4
/** Sockets that whoever started the supervisor has handed in, in their order. */
export const firstHandedInFd = 5

/* The logger: reads the children's pipes and appends to their files, in a process of its own so that a slow or full
 * disk delays no signal. What a file does not take is dropped and counted, and the file says so when it takes output
 * again. A file that would grow beyond its limit becomes "<file>.1" at the end of a line; only a line that is longer
 * than the limit exceeds it.
 *
 * Descriptor 0 is the socket on which it gets its pipes from the keeper. When the keeper goes without a word, it goes on
 * writing, and hands the pipes to the keeper that then connects to descriptor 1, which listens on logger.sock; that
 * one starts a logger of its own, and this one ends.
 */
#ifndef APPMGR_KEEPER_LOGGER_H
#define APPMGR_KEEPER_LOGGER_H

/* Works until it is not needed any more. Returns the exit code of the process. */
int logger_main(void);

#endif

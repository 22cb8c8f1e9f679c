/* The logger: reads the children's pipes and appends to their files, in a process of its own so that a slow or full
 * disk delays no signal. Gets its pipes from the keeper on descriptor 0. What a file does not take is dropped and
 * counted, and the file says so when it takes output again. A file that would grow beyond its limit becomes "<file>.1" at
 * the end of a line; only a line that is longer than the limit exceeds it.
 */
#ifndef APPMGR_KEEPER_LOGGER_H
#define APPMGR_KEEPER_LOGGER_H

/* Works until the keeper has gone and all pipes have been read. Returns the exit code of the process. */
int logger_main(void);

#endif

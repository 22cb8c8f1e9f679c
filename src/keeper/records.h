/* What a keeper knows, in the file keeper.records of its state directory, current at every moment: the keeper after one
 * that was killed or re-executed goes on from it, and `appmgr-keeper ls` and `stop` read it when there is no keeper.
 *
 * All of it is wire frames with checksums: a program reads what an earlier or later one wrote. First comes whose it is
 * (version, boot, state directory), what the agent said last (exits taken, leases renewed) and where the records end, then the
 * ring of exits, then one record a child:
 *
 *   head: how long the record is
 *   two cells: the child's state, written by turns; the newer one that is whole counts, so that no write can tear it
 *   frame: the WIRE_SPAWN as it was asked for, with what WIRE_UPDATEs changed since
 *
 * A record that was not finished is behind the end, and does not exist. Heads and frames are never changed once they are
 * written: another specification is another record at the end, and the file is written anew (under another name, then
 * renamed) when it has doubled. A change of state needs no space on the disk and allocates nothing. What cannot be written is
 * kept in memory and tried again.
 */
#ifndef APPMGR_KEEPER_RECORDS_H
#define APPMGR_KEEPER_RECORDS_H

#include "birth.h"
#include "child.h"

enum { RECORDS_VERSION = 1 };

enum records_found {
    RECORDS_TAKEN,      /* or there are none */
    RECORDS_STRANGE,    /* of another boot or another state directory, or never whole on the disk: nothing of it runs here */
    RECORDS_UNREADABLE, /* nobody can say what runs: nothing may be started beside it */
};

/* Reads the file into the table and the ring of exits; all of it, or nothing with the reason in `why`. */
enum records_found records_load(int directory_fd, char *why, size_t size);

/* Begins to keep the file of this directory current. A disk that takes nothing is no failure. */
void records_begin(int directory_fd);

/* Writes the whole file anew. Returns false when it could not: the one before it stays. */
bool records_write_anew(void);

/* A child has another specification (WIRE_SPAWN), or part of it has changed (WIRE_UPDATE). */
void records_add(struct child *child);

/* Whether there is a record of the child. */
bool records_have(const struct child *child);

/* Something else of a child has changed; a child is being forgotten. */
void records_note(struct child *child);
void records_drop(struct child *child);

/* The child's process is about to be begun, and has been begun: from the one to the other it may note its birth, nothing
 * else of the child is noted, and until it has noted it the file is not written anew. What follows is the caller's to note. */
void records_expect(struct birth *birth, struct child *child);
void records_met(const struct birth *birth, struct child *child);

/* The highest descriptor that birth_note uses. */
int records_descriptor(void);

/* The agent has acknowledged exits, or renewed the leases. */
void records_note_agent(void);

/* Writes the file anew where that is due, and says when it cannot be. To be called each turn. */
void records_run(void);

/* Why the file is not current, or NULL. */
const char *records_trouble(void);

/* Removes the file: all has ended, in order. */
void records_remove(void);

/* A number that stays the same while sequence numbers go on; records_load sets it to that of the keeper before. */
uint64_t records_instance(void);

/* `turn`: of the newer of the two cells that are about no child; `children_end`: where the last child's record ends. */
void records_continue(uint64_t instance, uint64_t turn, uint64_t children_end);

#endif

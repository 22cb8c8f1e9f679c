/*
 * runtime: where this program stands and what belongs to it.
 *
 * The paths are found once, from /proc/self/exe, so that the build tree and an
 * installed tree work from any prefix. Owns the strings for the process's life.
 */
#ifndef APPMGR_RUNTIME_H
#define APPMGR_RUNTIME_H

#include <stddef.h>

struct runtime_paths {
    const char *executable;  /* absolute path of this program */
    const char *share_dir;   /* holds lua/ and policies/ */
    const char *keeper_path; /* where appmgr-keeper is, or would be looked for first */
};

/*
 * Finds the paths. Returns 0, or -1 with a text for people in `error`: the
 * share folder is in none of its places.
 */
int runtime_find(char *error, size_t error_size);

/* What runtime_find() found. The fields are "" before it. */
const struct runtime_paths *runtime_paths(void);

#endif

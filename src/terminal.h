/*
 * terminal: line editing for a person at a terminal (libedit).
 *
 * For the command line alone: it blocks. There is one terminal, so there is one state, made at the first line read
 * kept until the process ends. Owns libedit's buffers and the history in memory. Prompts and lists of candidates
 * go to the terminal, never into data: when stdout is redirected they go to stderr.
 */
#ifndef APPMGR_TERMINAL_H
#define APPMGR_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

enum terminal_result { TERMINAL_LINE, TERMINAL_END, TERMINAL_INTERRUPTED };

/* What can stand in the line. Starts empty; the strings are from malloc and freed by the terminal. */
struct terminal_candidates {
    char **words;
    size_t count;
    size_t from; /* offset in bytes of the word that they would replace */
};

/* Fills in what can stand at the end of `text`, which is what was typed up to the cursor; borrowed. */
typedef void (*terminal_completer_fn)(const char *text, size_t length, struct terminal_candidates *out, void *data);

/*
 * Reads a line, with editing when stdin is a terminal, plainly and without prompt otherwise. On TERMINAL_LINE the
 * text (without newline) is borrowed until the next call. TERMINAL_INTERRUPTED: Ctrl-C, the line was given up.
 */
enum terminal_result terminal_readline(const char *prompt, const char **line, size_t *length);

/* Tab asks the completer from now on; NULL for none. data is borrowed. */
void terminal_set_completer(terminal_completer_fn completer, void *data);

/* Adds an entry, which may hold newlines. The last 1000 are kept, neighbours that are equal once. */
void terminal_add_history(const char *entry);

/* Reads or writes the history's file (mode 0600, replaced at once). Loading none that exists is no error. 0 or -errno. */
int terminal_load_history(const char *path);
int terminal_save_history(const char *path);

/* Columns of the terminal at stdout; else $COLUMNS, else 80. */
unsigned terminal_width(void);

/* Forgets the completer and the last line; history and editor stay. */
void terminal_shutdown(void);

#endif

#include "terminal.h"

#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { HISTORY_SIZE = 1000, DEFAULT_WIDTH = 80 };

static struct {
    EditLine *editor; /* NULL until the first line that is edited */
    History *history;
    const char *prompt;
    char *plain_line; /* getline's buffer, where stdin is no terminal */
    size_t plain_size;
    terminal_completer_fn completer;
    void *completer_data;
    bool interrupted;
} terminal;

/* ---- history ---- */

static History *get_history(void)
{
    HistEvent event;
    if (!terminal.history) {
        terminal.history = history_init();
        if (terminal.history) {
            history(terminal.history, &event, H_SETSIZE, HISTORY_SIZE);
            history(terminal.history, &event, H_SETUNIQUE, 1);
        }
    }
    return terminal.history;
}

void terminal_add_history(const char *entry)
{
    HistEvent event;
    History *list = get_history();
    if (list)
        history(list, &event, H_ENTER, entry);
}

int terminal_load_history(const char *path)
{
    HistEvent event;
    History *list = get_history();
    if (!list)
        return -ENOMEM;
    if (access(path, R_OK) != 0)
        return errno == ENOENT ? 0 : -errno;
    errno = 0;
    if (history(list, &event, H_LOAD, path) >= 0)
        return 0;
    return errno ? -errno : -EINVAL; /* without errno: not a history file */
}

int terminal_save_history(const char *path)
{
    char temporary[PATH_MAX];
    HistEvent event;
    History *list = get_history();
    if (!list)
        return -ENOMEM;
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return -ENAMETOOLONG;
    errno = 0;
    int result = history(list, &event, H_SAVE, temporary) < 0 ? (errno ? -errno : -EIO) : 0;
    if (result == 0 && rename(temporary, path) != 0)
        result = -errno;
    if (result < 0)
        unlink(temporary);
    return result;
}

/* ---- completion ---- */

void terminal_set_completer(terminal_completer_fn completer, void *data)
{
    terminal.completer = completer;
    terminal.completer_data = data;
}

static void free_candidates(struct terminal_candidates *candidates)
{
    for (size_t i = 0; i < candidates->count; i++)
        free(candidates->words[i]);
    free(candidates->words);
}

/* How many bytes all candidates begin with alike. */
static size_t common_length(const struct terminal_candidates *candidates)
{
    size_t length = strlen(candidates->words[0]);
    for (size_t i = 1; i < candidates->count; i++) {
        size_t same = 0;
        while (same < length && candidates->words[0][same] == candidates->words[i][same])
            same++;
        length = same;
    }
    return length;
}

static FILE *output(void)
{
    return isatty(STDOUT_FILENO) ? stdout : stderr;
}

/* Columns, read downwards as ls does. */
static void list_candidates(const struct terminal_candidates *candidates)
{
    size_t widest = 0;
    for (size_t i = 0; i < candidates->count; i++) {
        size_t width = strlen(candidates->words[i]);
        widest = width > widest ? width : widest;
    }
    size_t columns = terminal_width() / (widest + 2);
    columns = columns > 0 ? columns : 1;
    size_t rows = (candidates->count + columns - 1) / columns;
    for (size_t row = 0; row < rows; row++) {
        fputc('\n', output());
        for (size_t i = row; i < candidates->count; i += rows)
            fprintf(output(), "%-*s", (int)widest + 2, candidates->words[i]);
    }
    fputc('\n', output());
}

/* Inserts what all candidates share; shows them when that is nothing. Returns what libedit is to do. */
static unsigned char apply_candidates(EditLine *editor, const struct terminal_candidates *candidates, size_t cursor)
{
    if (candidates->count == 0 || candidates->from > cursor)
        return CC_ERROR;
    char *word = candidates->words[0];
    size_t typed = cursor - candidates->from;
    size_t shared = common_length(candidates);
    if (shared > typed) {
        word[shared] = '\0';
        return el_insertstr(editor, word + typed) == 0 ? CC_REFRESH : CC_ERROR;
    }
    if (candidates->count == 1)
        return CC_ERROR;
    list_candidates(candidates);
    return CC_REDISPLAY;
}

static unsigned char on_tab(EditLine *editor, int character)
{
    (void)character;
    if (!terminal.completer)
        return CC_ERROR;
    const LineInfo *line = el_line(editor);
    size_t cursor = (size_t)(line->cursor - line->buffer);
    char *text = strndup(line->buffer, cursor);
    if (!text)
        return CC_ERROR;
    struct terminal_candidates candidates = {0};
    terminal.completer(text, cursor, &candidates, terminal.completer_data);
    unsigned char result = apply_candidates(editor, &candidates, cursor);
    free_candidates(&candidates);
    free(text);
    return result;
}

/* ---- lines ---- */

static unsigned char on_interrupt(EditLine *editor, int character)
{
    (void)editor;
    (void)character;
    terminal.interrupted = true;
    fputs("^C\n", output());
    return CC_NEWLINE;
}

static const char *give_prompt(EditLine *editor)
{
    (void)editor;
    return terminal.prompt;
}

/* Without a locale that knows UTF-8, libedit would take each byte of a character for one. */
static void set_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static EditLine *get_editor(void)
{
    if (terminal.editor)
        return terminal.editor;
    set_locale();
    EditLine *editor = el_init("appmgr", stdin, output(), stderr);
    if (!editor)
        return NULL;
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_SIGNAL, 1); /* it follows the size of the window, while a line is edited */
    el_set(editor, EL_PROMPT, give_prompt);
    if (get_history())
        el_set(editor, EL_HIST, history, get_history());
    el_set(editor, EL_ADDFN, "appmgr-complete", "complete what was typed", on_tab);
    el_set(editor, EL_BIND, "^I", "appmgr-complete", NULL);
    /* Ctrl-C comes as a character, so that it gives up the line and not the program. */
    el_set(editor, EL_ADDFN, "appmgr-interrupt", "give the line up", on_interrupt);
    el_set(editor, EL_SETTY, "-d", "-isig", NULL);
    el_set(editor, EL_BIND, "^C", "appmgr-interrupt", NULL);
    el_source(editor, NULL);
    terminal.editor = editor;
    return editor;
}

static const char *read_plain(int *count)
{
    ssize_t got = getline(&terminal.plain_line, &terminal.plain_size, stdin);
    *count = got > 0 && got < INT_MAX ? (int)got : 0;
    return *count > 0 ? terminal.plain_line : NULL;
}

enum terminal_result terminal_readline(const char *prompt, const char **line, size_t *length)
{
    EditLine *editor = isatty(STDIN_FILENO) ? get_editor() : NULL;
    int count = 0;

    terminal.prompt = prompt;
    terminal.interrupted = false;
    *line = editor ? el_gets(editor, &count) : read_plain(&count);
    if (terminal.interrupted)
        return TERMINAL_INTERRUPTED;
    if (!*line || count <= 0)
        return TERMINAL_END;
    *length = (size_t)count;
    if ((*line)[*length - 1] == '\n')
        (*length)--;
    return TERMINAL_LINE;
}

/* ---- the terminal itself ---- */

unsigned terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *columns = getenv("COLUMNS");
    long number = columns ? strtol(columns, NULL, 10) : 0;
    return number > 0 && number < USHRT_MAX ? (unsigned)number : DEFAULT_WIDTH;
}

/* The editor stays: el_end() loses the memory of what EL_ADDFN copied, and the process ends anyway. */
void terminal_shutdown(void)
{
    terminal.completer = NULL;
    free(terminal.plain_line);
    terminal.plain_line = NULL;
    terminal.plain_size = 0;
}

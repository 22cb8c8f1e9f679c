/* What the keeper knows about one instance, and what it does when something happens to it.
 *
 * The behaviour is a table, action[state][event], in child.c. It performs nothing itself: what must be done to
 * processes and what must be told to clients goes through struct child_effects, so that every cell can be
 * tried without a process. Handling an event allocates nothing.
 *
 * A child owns its specification. The keeper's table (table.h) owns the children.
 */
#ifndef APPMGR_KEEPER_CHILD_H
#define APPMGR_KEEPER_CHILD_H

#include "../wire.h"
#include "cgroup.h"
#include "limits.h"
#include "log_file.h"
#include "spawn.h"
#include "watch.h"

#include <sys/queue.h>

enum child_state {
    CHILD_STOPPED,   /* not running, and nothing will happen by itself */
    CHILD_FAILED,    /* the same: it could not be started and may not be restarted */
    CHILD_GAVE_UP,   /* the same: it ended more often than `attempts` allows */
    CHILD_STARTING,  /* its turn to be spawned comes */
    CHILD_PREPARING, /* its init command runs */
    CHILD_RUNNING,
    CHILD_CLEARING,  /* ended by itself; what it left in its session is being killed */
    CHILD_FINISHING, /* ended or stopped; its fini command runs, or its turn comes */
    CHILD_BACKOFF,   /* waits for its next start */
    CHILD_STOPPING,  /* has been sent its stop signal, or is sent it as soon as its start is over */
    CHILD_KILLING,   /* has been sent SIGKILL */
    CHILD_STATE_COUNT
};

enum child_event {
    CHILD_ASKED,         /* a client wants it to run */
    CHILD_STARTED,       /* `pid` runs */
    CHILD_START_FAILED,  /* `failure` says why */
    CHILD_EXITED,        /* the process ended; `status` is set */
    CHILD_EMPTY,         /* no process of its session is left */
    CHILD_TIMED,         /* `deadline_ms` has passed */
    CHILD_STOP,          /* a client wants it to stop */
    CHILD_FORGET,        /* a client wants its record gone */
    CHILD_END_RUN,       /* a client wants this run to end; what follows is as if it had ended by itself */
    CHILD_EVENT_COUNT
};

/* Which of its commands a child runs: each run is init, main, fini, of which only main has to be there. */
enum child_phase { CHILD_MAIN, CHILD_INIT, CHILD_FINI, CHILD_PHASE_COUNT };

struct child_restart {
    bool enabled;
    uint64_t attempts;      /* restarts allowed within interval_ms; UINT64_MAX: any number */
    uint64_t interval_ms;   /* 0: since it last ran well */
    uint64_t delay_ms, max_delay_ms;
    uint64_t reset_ms;      /* having run this long it ran well: the next restart is immediate again */
};

/* What a client asked for; one allocation, from child_spec_new. Its texts are those of the frame. */
struct child_spec {
    char **command[CHILD_PHASE_COUNT];          /* NULL for init and fini that are not there */
    char **environment;
    uint64_t timeout_ms[CHILD_PHASE_COUNT];     /* of main 0: none; else it is a short command, and its group all that it leaves */
    int ready_fd;                               /* where main tells that it is ready; 0: nowhere */
    const char *working_dir, *user, *output_path;
    struct log_terms output_terms;
    struct spawn_settings settings;
    bool is_local;          /* asked for by this node's own configuration: what limits tasks does not apply */
    uint32_t frame_size;
    uint8_t *frame;                             /* the WIRE_SPAWN that asked for it */
    _Alignas(char *) char room[];               /* for pointers, marks and frame */
};

struct child_exit {
    bool known, by_signal;  /* not known: it ended while no keeper was its parent, and nobody can say how */
    uint8_t number;         /* exit code or signal */
    bool out_of_memory;     /* the kernel killed it, or some of it, at its memory limit */
    bool timed;             /* ran_ms is known: it ended before a keeper's eyes */
    uint64_t at_us;         /* wall clock; 0: it has not ended yet */
    uint64_t ran_ms;        /* by a clock that nobody sets */
};

struct child_effects;

struct child {
    struct watch watch;            /* of pidfd, while an adopted process runs */
    int pidfd;                     /* of an adopted process, from when it is held until its pid is released; else -1 */
    struct child *next, *previous, *next_to_start;
    LIST_ENTRY(child) by_id, by_pid; /* used by table.c alone */
    const struct child_effects *effects;
    char *id;
    const char *label;             /* in `frame` */
    struct child_spec *spec;
    const uint8_t *frame;          /* the WIRE_SPAWN of `spec`, with what WIRE_UPDATEs changed since (child_spec.c) */
    uint32_t frame_size;
    uint8_t *updated_frame;        /* `frame`, where it is not that of `spec` */
    int stop_signal;
    uint64_t stop_timeout_ms;
    uint64_t lease_ms;      /* how long it runs without a renewal, see lease.h; 0: for ever */
    struct child_restart restart;
    struct limits limits;
    struct spawn_user user;
    bool user_known;               /* `user` holds what spec->user names */
    struct watch ready_watch;      /* used by ready.c alone */
    bool in_sweep, alive_in_sweep, asked_in_sweep; /* used by sweep.c alone */
    struct watch emptiness;        /* of its cgroup; these are used by containment.c alone, but for is_hidden */
    bool in_cgroup;
    bool cgroup_was_killed;        /* or may have been: its next run needs another one */
    bool is_hidden;                /* in no cgroup, and /proc does not show it: only its group can be found */
    unsigned limits_in_cgroup;     /* as limits_apply returns them */
    uint64_t oom_kills;            /* how many there had been when it was started */

    /* of a process that an earlier keeper started (adopt.h) */
    bool adopted;                  /* it is not our child */
    bool unproven;                 /* it ended while no keeper looked: its number may be a stranger's by now */
    uint64_t unreaped_since_ms;    /* it has ended and is not reaped; used by adopt.c alone */

    /* where it is in the records: used by records.c alone */
    uint64_t place, next_place, turn;
    struct birth *birth;           /* from records_expect to records_met */
    bool is_written;               /* the file has `frame` */

    /* what the records hold (record_cell.c) */
    uint64_t number;               /* unique in this state directory */
    enum child_state state;
    enum child_phase phase;        /* what `pid` is, or was last */
    bool ended;                    /* the process has been reaped, others of its session may live */
    bool overran;                  /* it had to be killed at its timeout */
    bool ready;                    /* main has said that it is ready, or the controller did */
    bool born;                     /* in records alone: `pid` is about to become the program, its CHILD_STARTED is not handled */
    pid_t pid;                     /* also its session and group; 0 when none of it is left */
    uint64_t start_ticks;          /* of pid, as /proc has it */
    uint64_t pipe;                 /* inode of what its output goes to */

    uint64_t deadline_ms;          /* CLOCK_BOOTTIME; 0: none */
    uint64_t started_ms, started_at_us;
    uint64_t starts;
    uint64_t backoff_ms;           /* what the next restart will wait */
    uint64_t delay_ms;             /* what this one waits */
    uint64_t window_ms, window_restarts;
    enum wire_next next_step;      /* what follows the last exit or failed start */
    bool gives_up;
    struct child_exit last_exit;   /* of main */
    uint64_t exit_sequence;        /* its number (exits.h) */
    struct child_exit phase_exit;  /* of init or fini */
    /* how its output goes, as the logger said last */
    enum wire_output output_state;
    uint32_t output_errno;
    uint64_t output_dropped;       /* bytes since it was well */
    char failure_step[8];
    char failure[640];             /* why it last could not be started, or its fini command failed; "" when all went well */
};

/* What a child's actions do to the world. */
struct child_effects {
    uint64_t (*now_ms)(void);
    void (*start)(struct child *child);            /* take it in the queue of those to be spawned */
    bool (*unstart)(struct child *child);          /* out of it again; false: its start is under way and comes to an end */
    bool (*signal)(struct child *child, int number); /* to its group; false when there is no such process */
    void (*drain)(struct child *child);            /* look for the rest of its session until CHILD_EMPTY */
    void (*arm)(struct child *child);              /* deadline_ms has changed */
    void (*release)(struct child *child);          /* no process is left: pid may be used again */
    void (*tell)(struct child *child, enum wire_type type); /* WIRE_STARTED … WIRE_GAVE_UP, WIRE_PHASE, WIRE_READY */
    void (*refuse)(struct child *child, const char *why);
    void (*record)(struct child *child);           /* something has changed */
    void (*forget)(struct child *child);           /* the child is freed */
};

/* Handles one event. A cell that cannot happen does nothing. */
void child_handle(struct child *child, enum child_event event);

/* Goes on where a keeper before this one was. `gone`: the process is there no more, and nobody saw its end. */
void child_resume(struct child *child, bool gone);

/* True in the three states in which nothing happens by itself and a new specification may be taken. */
bool child_at_rest(const struct child *child);

/* The state as clients see it. */
enum wire_state child_wire_state(const struct child *child);

/* Which of its commands beside main runs; 0: none. */
enum wire_phase child_wire_phase(const struct child *child);

/* --- child_spec.c --- */

/* Reads what a WIRE_SPAWN asks for; `marker` ("NAME=value") goes in front of the environment. Returns NULL and a reason
 * when it asks for nothing valid or memory is out; owned by the caller. */
struct child_spec *child_spec_new(const struct wire_message *message, const char *marker, const char **why);

/* Gives a child at rest what a WIRE_SPAWN asks for. Returns NULL, or why it was refused (nothing is changed then). */
const char *child_configure(struct child *child, const struct wire_message *message);

/* Takes tag, stop signal and timeout, lease, restart policy, limits and readiness from a WIRE_SPAWN or WIRE_UPDATE; what the message does not
 * hold stays as it is. Returns NULL, or why it was refused (nothing is changed then). */
const char *child_update(struct child *child, const struct wire_message *message);

#endif

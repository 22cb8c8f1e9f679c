/*
 * process: the agent's connection to its keeper.
 *
 * Connects to the keeper of a state directory, starts one where none listens (or waits for it), shakes hands, lists what runs, and then
 * passes on what happens. When the connection is lost it starts over by itself, with a growing delay, and lists
 * everything again: the owner compares that with what it wants. One that keeps the connection and does not read is told
 * of, and waited for. The keeper and its children stay when the client is closed. It keeps no record of children: the keeper does.
 */
#ifndef APPMGR_PROCESS_H
#define APPMGR_PROCESS_H

#include "wire.h"

#include <sys/types.h>

struct process_client;

/*
 * What the client says; none may be NULL. They run on the loop and may use and close the client. Messages are
 * borrowed for the call.
 */
struct process_callbacks {
    void (*on_child)(const struct wire_message *child, void *data);  /* WIRE_CHILD, for each before on_ready */
    void (*on_ready)(const struct wire_message *end, void *data);    /* WIRE_LIST_END */
    void (*on_event)(const struct wire_message *event, void *data);  /* WIRE_STARTED … WIRE_GAVE_UP, WIRE_PHASE, WIRE_READY, WIRE_ERROR */
    void (*on_lost)(const char *reason, void *data);                 /* each new reason once */
    void (*on_ended)(void *data);                                    /* after process_shutdown: the keeper has ended */
    /* After process_upgrade: `failure` is NULL when the keeper runs its new program and has been listed again. */
    void (*on_upgraded)(const char *failure, void *data);
    /* The keeper `pid` has not read for seconds what it is sent: it is stopped, or hangs. 0: that is over. */
    void (*on_silent)(pid_t pid, void *data);
};

/* Zero or NULL where there is nothing to say. */
struct process_restart {
    bool enabled, limited;      /* limited: at most `attempts` within interval_ms */
    uint64_t attempts, interval_ms, delay_ms, max_delay_ms, reset_ms;
};

/* What an application and all it starts may use together; PROCESS_NO_LIMIT where there is none. */
#define PROCESS_NO_LIMIT UINT64_MAX

struct process_limits {
    uint64_t memory_bytes, swap_bytes, virtual_bytes;
    uint64_t cpu_weight;    /* 1 to 10000, 100 where nothing is said */
    uint64_t cpu_percent;   /* of one processor */
    uint64_t pids;
};

struct process_spec {
    const char *id, *tag, *working_dir, *user, *output_path;
    const char *const *arguments, *const *environment; /* NULL at the end */
    const char *const *init, *const *fini;  /* commands before and after; NULL: none */
    uint64_t init_timeout_ms, fini_timeout_ms;
    uint64_t ready_fd;                      /* 0: readiness is not told through a descriptor */
    uint64_t run_timeout_ms;                /* not 0: a short command, killed with its session after so long */
    uint64_t max_output_bytes;              /* 0: its file is never rotated */
    uint64_t output_files;                  /* with the one that is written to; 0: two */
    bool output_waits;                      /* a full disk makes its writes wait; else its output is dropped */
    bool has_nice, has_umask, no_new_privs;
    int nice;                               /* -20 to 19 */
    uint64_t umask, open_files;             /* open_files 0: as the keeper's */
    bool is_local;                          /* no task of Consul: what limits those does not apply */
    bool has_lease;
    uint64_t lease_ms;                      /* how long it runs after the last process_renew; 0: for ever */
    int stop_signal;                        /* 0: default, or as it is */
    bool has_stop_timeout;
    uint64_t stop_timeout_ms;
    const struct process_restart *restart;  /* NULL: no restart, or as it is */
    const struct process_limits *limits;    /* NULL: none, or as they are */
    bool has_capabilities;                  /* exactly `capabilities`, a mask of 1 << number */
    uint64_t capabilities;
};

/*
 * Opens a client. The strings are copied, `callbacks` too; nothing is called before the loop turns. Returns NULL with
 * a text when the state directory or the keeper's program cannot be used. `awaits_keeper`: somebody else starts the keeper and
 * starts it again, so where none listens it is waited for.
 */
struct process_client *process_open(const char *keeper_path, const char *state_dir, bool awaits_keeper,
                                    const struct process_callbacks *callbacks, void *data, char *error,
                                    size_t error_size);

/* Requests. 0, or -ENOTCONN (before on_ready, or lost), -E2BIG (larger than a frame), -ENOMEM. */
int process_spawn(struct process_client *client, const struct process_spec *spec);
int process_update(struct process_client *client, const struct process_spec *spec);
int process_stop(struct process_client *client, const char *id);
/* Ends a run: the keeper goes on as if it had ended by itself, stop signal and timeout are as for a stop. `why` is what its
 * record shows as error until it runs again. */
int process_end_run(struct process_client *client, const char *id, const char *why);
/* Says that the run number `starts` is ready, where something else than the application knows. */
int process_set_ready(struct process_client *client, const char *id, uint64_t starts);
int process_forget(struct process_client *client, const char *id);
int process_signal(struct process_client *client, const char *id, int number);
int process_acknowledge(struct process_client *client, uint64_t sequence);
/* The owner was in touch at `at_ms` of CLOCK_BOOTTIME: leases run from then on. */
int process_renew(struct process_client *client, uint64_t at_ms);

/* Has the keeper execute its program, as it is on the disk now, in its place. Returns 0 or -ENOTCONN. */
int process_upgrade(struct process_client *client);

/* Stops everything and ends the keeper; on_ended is called when it is gone, connected or not. One that was killed is
 * followed by another first, which ends what is left; that it cannot be started is told to on_lost. */
void process_shutdown(struct process_client *client);

/* Disconnects and frees the client; no callback is called any more. */
void process_close(struct process_client *client);

#endif

/*
 * child_environment: what the agent's own processes (keeper, planner) are given of its environment.
 *
 * That of the agent may hold a token, NOTIFY_SOCKET or anything else of an operator's: only what is known to be
 * harmless is passed on.
 */
#ifndef APPMGR_CHILD_ENVIRONMENT_H
#define APPMGR_CHILD_ENVIRONMENT_H

enum { CHILD_ENVIRONMENT_SIZE = 8 };

/* Fills an array for exec with borrowed entries of our own environment, and NULL behind them. */
void child_environment(char *environment[CHILD_ENVIRONMENT_SIZE]);

#endif

/*
 * curl_loop: libcurl's multi interface on the loop.
 *
 * Owns the multi handle, one poll watcher for each socket that curl wants
 * watched, and the one timer it asks for. Easy handles stay their owner's.
 * Never calls into curl from one of curl's callbacks, and never its user: a
 * finished transfer is told after curl has returned, so that the user may
 * start and remove transfers there. Nothing is initialised before the first
 * transfer.
 */
#ifndef APPMGR_CURL_LOOP_H
#define APPMGR_CURL_LOOP_H

#include <curl/curl.h>

/* Told once for each transfer, after its easy handle left the multi handle. */
typedef void (*curl_loop_finished_fn)(CURL *easy, CURLcode result);

/* A new easy handle with the settings that the loop needs; NULL when memory is out. Owned by the caller. */
CURL *curl_loop_new_easy(void);

/* Starts the transfer. 0, or -1 when curl does not take it. */
int curl_loop_add(CURL *easy, curl_loop_finished_fn finished);

/* Ends the transfer without telling; harmless when it is not running. */
void curl_loop_remove(CURL *easy);

/* Closes all connections. Transfers must have been removed. */
void curl_loop_shutdown(void);

#endif

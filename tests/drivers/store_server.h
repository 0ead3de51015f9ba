/*
 * store_server: an empty database on a real server for a test of the store. The server's address is
 * in the environment (tests/services/run.mjs starts it); each test has a schema of its own.
 */
#pragma once

#include <stddef.h>

/* Whether this driver's databases are on a server. */
int store_server_is_needed(const char *driver);
/* Makes `name` and writes its URL. */
void store_server_make(const char *driver, const char *name, char *url, size_t size);
void store_server_drop(const char *driver, const char *name);

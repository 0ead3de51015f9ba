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
/* Where the server is (ends the test when there is none), and a word for it from outside. */
const char *store_server_address(const char *driver);
void store_server_tell(const char *driver, const char *sql);
/* Cuts every connection of the store's. */
void store_server_cut(const char *driver);

/* store_server: see the header. */
#include "store_server.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int store_server_is_needed(const char *driver)
{
    return strcmp(driver, "postgres") == 0;
}

static const char *address(void)
{
    const char *url = getenv("PARLANCE_TEST_POSTGRES_URL");
    if (url)
        return url;
    fprintf(stderr, "no server: run this by node tests/services/run.mjs postgres ...\n");
    exit(2);
}

static void tell(const char *sql)
{
    PGconn *pg = PQconnectdb(address());
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(pg));
        exit(2);
    }
    PQclear(result);
    PQfinish(pg);
}

void store_server_make(const char *driver, const char *name, char *url, size_t size)
{
    char sql[128];
    snprintf(sql, sizeof(sql), "CREATE SCHEMA %s", name);
    tell(sql);
    snprintf(url, size, "%s?options=-csearch_path%%3D%s", address(), name);
}

void store_server_drop(const char *driver, const char *name)
{
    char sql[128];
    snprintf(sql, sizeof(sql), "SET client_min_messages = warning; DROP SCHEMA %s CASCADE", name);
    tell(sql);
}

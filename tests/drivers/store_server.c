/* store_server: see the header. */
#include "store_server.h"

#include <libpq-fe.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_mysql_internal.h"

int store_server_is_needed(const char *driver)
{
    return strcmp(driver, "sqlite") != 0;
}

static int is_mysql(const char *driver)
{
    return strcmp(driver, "mysql") == 0;
}

const char *store_server_address(const char *driver)
{
    const char *name = is_mysql(driver) ? "PARLANCE_TEST_MYSQL_URL" : "PARLANCE_TEST_POSTGRES_URL";
    const char *url = getenv(name);
    if (url)
        return url;
    fprintf(stderr, "no server: run this by node tests/services/run.mjs %s ...\n", driver);
    exit(2);
}

static void fail(const char *sql, const char *why)
{
    fprintf(stderr, "%s: %s\n", sql, why);
    exit(2);
}

static void tell_postgres(const char *sql)
{
    PGconn *pg = PQconnectdb(store_server_address("postgres"));
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail(sql, PQerrorMessage(pg));
    PQclear(result);
    PQfinish(pg);
}

static void tell_mysql(const char *sql)
{
    struct mysql_address a;
    MYSQL *my = mysql_init(NULL);
    if (store_mysql_address_read(&a, store_server_address("mysql")) ||
        !mysql_real_connect(my, a.hosts[0].name, a.user, a.password, a.database, a.hosts[0].port,
                            NULL, 0) ||
        mysql_query(my, sql))
        fail(sql, mysql_error(my));
    MYSQL_RES *result = mysql_store_result(my);
    mysql_free_result(result);
    mysql_close(my);
    store_mysql_address_deinit(&a);
}

void store_server_tell(const char *driver, const char *sql)
{
    if (is_mysql(driver))
        tell_mysql(sql);
    else
        tell_postgres(sql);
}

void store_server_make(const char *driver, const char *name, char *url, size_t size)
{
    char sql[128];
    const char *address = store_server_address(driver);
    snprintf(sql, sizeof(sql), "CREATE %s %s", is_mysql(driver) ? "DATABASE" : "SCHEMA", name);
    store_server_tell(driver, sql);
    if (is_mysql(driver))
        snprintf(url, size, "%.*s/%s", (int)(strrchr(address, '/') - address), address, name);
    else
        snprintf(url, size, "%s?options=-csearch_path%%3D%s", address, name);
}

void store_server_drop(const char *driver, const char *name)
{
    char sql[128];
    snprintf(sql, sizeof(sql),
             is_mysql(driver) ? "DROP DATABASE %s"
                              : "SET client_min_messages = warning; DROP SCHEMA %s CASCADE",
             name);
    store_server_tell(driver, sql);
}

static void cut_mysql(void)
{
    /* KILL takes no subquery: a statement of our own for each connection. */
    store_server_tell("mysql",
                      "BEGIN NOT ATOMIC FOR c IN (SELECT id FROM information_schema.processlist"
                      " WHERE id <> CONNECTION_ID() AND user = 'parlance') DO"
                      " BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;"
                      " EXECUTE IMMEDIATE CONCAT('KILL ', c.id); END; END FOR; END");
}

void store_server_cut(const char *driver)
{
    if (is_mysql(driver))
        cut_mysql();
    else
        tell_postgres("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                      " WHERE application_name = 'parlance'");
}

/*
 * app_live: options that change while we run. They stand in the registry (PREFIX/config/log.level =
 * debug), hold for every process that uses them, and are held to the same table as the file: what
 * does not fit is refused and logged, and the former value stays. What is taken out of the registry
 * is again as the file has it.
 */
#pragma once

#include "app/app_internal.h"

/* After the services have started, before anybody reaches them. */
void app_live_start(struct app *app);
/* Before they stop. Accepts an app without. */
void app_live_stop(struct app *app);

/* Whether this option changes while we run. */
bool app_live_has(struct str key);
/* The keys one by one; NULL at the end. */
const char *app_live_key(size_t i);

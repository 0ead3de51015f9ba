/*
 * app_registry: the registry as the configuration wants it, what this process says of itself there,
 * and when.
 */
#pragma once

#include "app/app_internal.h"

/* The spaces of records that every process follows. */
#define APP_SPACE_CONFIG "config"     /* options that change while we run */
#define APP_SPACE_MEETINGS "meetings" /* meeting -> where it lives (JSON) */

/* The host by which others reach this process: registry.advertise, or what can be found out. */
const char *app_registry_host(const struct app *app);
MUST_USE enum err app_registry_open(struct app *app, struct strbuf *problem);
/* What is served to others is known to them from now on. */
void app_registry_announce(struct app *app);
/* What an operator's command needs of it: the records of one space, no instances. */
MUST_USE enum err app_registry_open_for_tool(struct registry **out, const struct app_config *config,
                                             struct strbuf *problem);

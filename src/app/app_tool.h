/*
 * app_tool: accounts for commands: by the server that runs on the data directory, or, when none
 * does, in the directory itself. Then events that a command causes wait in the outbox for the next
 * start.
 */
#pragma once

#include "app/app_config.h"
#include "rpc/rpc.h"

struct app_tool;

/* Why not is in `problem`. */
MUST_USE enum err app_tool_open(struct app_tool **out, const struct app_config *config,
                                struct strbuf *problem);
/* Accepts NULL. */
void app_tool_close(struct app_tool **tool);
/* Called as the system itself (call->who stays NULL). */
ProtobufCService *app_tool_user(struct app_tool *tool);
/* 8 to 128 characters, else INVALID_ARGUMENT. Ends the account's sign-ins. */
MUST_USE enum err app_tool_set_password(struct app_tool *tool, const char *login,
                                        struct str password, struct strbuf *problem);

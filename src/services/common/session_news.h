/* session_news: what auth tells of sign-ins, as those hear it who hold sockets of theirs. */
#pragma once

#include "bus/bus.h"
#include "core/id.h"
#include "rpc/rpc.h"

struct session_news {
    char session_id[ID_SIZE]; /* "": all of the account's */
    char user_id[ID_SIZE];
    enum identity_role role; /* the account's new one; NONE: the sign-in is over */
};

/* An event of channel "auth_events". false: nothing that concerns sockets. */
bool session_news_read(const struct bus_event *event, struct session_news *out);

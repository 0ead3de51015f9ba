/* signaling's rows of the public API. The socket itself is mounted by signaling_accept. */
#include "services/signaling/signaling.h"

#include "signaling.pb-c.h"

static const struct edge_route routes[] = {
    {.method = "GET",
     .path = "/api/v1/signaling/connections",
     .rpc = "ListConnections",
     .who = EDGE_WHO_ADMIN,
     .summary = "Who is connected to which meeting."},
    {.method = "DELETE",
     .path = "/api/v1/signaling/connections/:participant_id",
     .rpc = "Disconnect",
     .who = EDGE_WHO_ADMIN,
     .summary = "Closes a participant's connection; the person may join again."},
};

const struct edge_route_table signaling_routes = {
    .tag = "signaling",
    .service = &signaling__signaling__descriptor,
    .routes = routes,
    .count = sizeof(routes) / sizeof(routes[0]),
};

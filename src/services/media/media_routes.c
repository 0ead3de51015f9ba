/* media's rows of the public API: read-only; everything else goes through the signaling socket. */
#include "services/media/media.h"

#include "media.pb-c.h"

static const struct edge_route routes[] = {
    {.method = "GET",
     .path = "/api/v1/webrtc/ice-servers",
     .rpc = "GetIceServers",
     .who = EDGE_WHO_GUEST,
     .summary = "STUN and TURN servers for the client's peer connections."},
    {.method = "GET",
     .path = "/api/v1/webrtc/capabilities",
     .rpc = "GetCapabilities",
     .who = EDGE_WHO_ANYONE,
     .summary = "Codecs, header extensions and SRTP profiles that the server speaks."},
    {.method = "GET",
     .path = "/api/v1/media/stats",
     .rpc = "GetStats",
     .who = EDGE_WHO_GUEST,
     .summary = "Rooms, peers and tracks with bitrates, losses and round trips; one's own for "
                "participants."},
};

const struct edge_route_table media_routes = {
    .tag = "media",
    .service = &media__media__descriptor,
    .routes = routes,
    .count = sizeof(routes) / sizeof(routes[0]),
};

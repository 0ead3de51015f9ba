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

static const ProtobufCMessageDescriptor *const frames[] = {
    &signaling__ok_frame__descriptor,          &signaling__error_frame__descriptor,
    &signaling__room_joined_frame__descriptor, &signaling__meeting_frame__descriptor,
    &signaling__answer_frame__descriptor,      &signaling__offer_frame__descriptor,
    &signaling__member_frame__descriptor,      &signaling__gone_frame__descriptor,
    &signaling__track_frame__descriptor,       &signaling__track_gone_frame__descriptor,
    &signaling__speakers_frame__descriptor,    &signaling__quality_frame__descriptor,
    &signaling__reaction_frame__descriptor,    &signaling__mute_requested_frame__descriptor,
    &signaling__connection_frame__descriptor,  &signaling__closing_frame__descriptor,
};

const struct edge_socket signaling_frames = {
    .name = "signaling",
    .path = "/ws/signaling",
    .summary = "A meeting: a frame's type says which of its fields count",
    .manual = "docs/signaling.md",
    .client = &signaling__client_frame__descriptor,
    .frames = frames,
    .frame_count = sizeof(frames) / sizeof(frames[0]),
};

/*
 * ice: an ICE-lite agent (RFC 8445 section 2.5) for one peer connection. It answers checks and
 * nothing else: the caller passes in STUN bytes with their source and the time, sends what comes
 * back to that source, and keeps its own table of tuples up to date from the result. Media goes to
 * the selected tuple only; a tuple may speak DTLS once ice_agent_knows it, and the answers go to
 * ice_agent_destination.
 */
#pragma once

#include "core/err.h"
#include "core/str.h"
#include "sfu/wire/address.h"
#include "sfu/wire/stun.h"

#define ICE_MAX_TUPLES 8
#define ICE_UFRAG_MAX 256 /* RFC 8839: 4..256 characters */
#define ICE_PWD_MAX 256   /* 22..256 characters */

/* RFC 7983: what a datagram is, by its first byte (and the second, RFC 5761). */
enum sfu_datagram {
    SFU_DATAGRAM_UNKNOWN = 0,
    SFU_DATAGRAM_STUN,
    SFU_DATAGRAM_DTLS,
    SFU_DATAGRAM_RTP,
    SFU_DATAGRAM_RTCP,
};
static inline enum sfu_datagram sfu_demux(const uint8_t *bytes, size_t n)
{
    if (n < 2)
        return SFU_DATAGRAM_UNKNOWN;
    if (bytes[0] >= 128 && bytes[0] <= 191)
        return bytes[1] >= 192 && bytes[1] <= 223 ? SFU_DATAGRAM_RTCP : SFU_DATAGRAM_RTP;
    if (bytes[0] <= 3)
        return SFU_DATAGRAM_STUN;
    if (bytes[0] >= 20 && bytes[0] <= 63)
        return SFU_DATAGRAM_DTLS;
    return SFU_DATAGRAM_UNKNOWN; /* TURN channels among them: we are no TURN client */
}

struct ice_agent;

struct ice_credentials {
    struct str local_ufrag; /* copied */
    struct str local_pwd;
    struct str
        remote_ufrag; /* empty: not known yet, then any is accepted with the right password */
};

struct ice_options {
    struct ice_credentials credentials;
    int64_t consent_timeout_us; /* 0: 30 s; clamped to 10..60 s */
    int64_t now_us;             /* consent counts from here until the first check */
};

enum ice_state {
    ICE_WAITING = 0,  /* no valid check yet */
    ICE_CONNECTED,    /* a tuple is selected, checks keep coming */
    ICE_DISCONNECTED, /* no valid check for the consent timeout; a later one revives it */
};

/* INVALID_ARGUMENT for credentials outside RFC 8839. */
MUST_USE enum err ice_agent_create(struct ice_agent **out, const struct ice_options *opt);
void ice_agent_destroy(struct ice_agent **agent);

/* The answer's ufrag, when it comes after the offer was sent. */
MUST_USE enum err ice_agent_set_remote_ufrag(struct ice_agent *agent, struct str remote_ufrag);
/* New credentials. The old ones are honoured until a check with the new ones is seen; media stays
 * on the selected tuple until then. */
MUST_USE enum err ice_agent_restart(struct ice_agent *agent, const struct ice_credentials *c);

struct ice_result {
    uint8_t response[STUN_RESPONSE_MAX]; /* to be sent to the source; response_bytes 0: nothing */
    size_t response_bytes;
    bool is_valid;        /* an authenticated check: the source is now a tuple of this peer */
    bool has_added;       /* `from` was not a tuple before */
    bool has_removed;     /* `removed` had to go: the longest silent of too many */
    bool has_selected;    /* media now goes to `from`, and did not before */
    bool has_restarted;   /* first check with new credentials: the old ufrag is now void */
    bool has_reconnected; /* the state was DISCONNECTED and is CONNECTED again */
    struct sfu_address removed;
};

/*
 * A STUN message for this agent (its USERNAME begins with one of our ufrags; another one's yields
 * silence). UNAUTHENTICATED, INVALID_ARGUMENT, FAILED_PRECONDITION (role conflict) say why a check
 * was refused, for counting; the result may hold an answer all the same. Indications are ignored.
 */
enum err ice_agent_on_stun(struct ice_agent *agent, const uint8_t *bytes, size_t n,
                           const struct sfu_address *from, int64_t now_us, struct ice_result *out);
/* The same for a message that the caller has parsed already (to find the agent by ufrag). */
enum err ice_agent_on_message(struct ice_agent *agent, const struct stun_message *m,
                              const struct sfu_address *from, int64_t now_us,
                              struct ice_result *out);

/* `from` has passed a check: DTLS and SRTP from it may be looked at. */
bool ice_agent_knows(const struct ice_agent *agent, const struct sfu_address *from);
/* Where media goes; NULL before the first nomination. */
const struct sfu_address *ice_agent_selected(const struct ice_agent *agent);
/* The same, and before the first nomination the tuple seen last (DTLS may begin by then); NULL when
 * there is none. */
const struct sfu_address *ice_agent_destination(const struct ice_agent *agent);
/* Copies the tuples (for a table to be cleaned); returns how many. */
size_t ice_agent_tuples(const struct ice_agent *agent, struct sfu_address out[ICE_MAX_TUPLES]);
/* Is it one of our ufrags, the former one included while it is honoured? */
bool ice_agent_has_ufrag(const struct ice_agent *agent, struct str local_ufrag);

/* Looks at the consent timer; returns the state. Call when ice_agent_deadline_us has come. */
enum ice_state ice_agent_tick(struct ice_agent *agent, int64_t now_us);
enum ice_state ice_agent_state(const struct ice_agent *agent);
/* When consent runs out; INT64_MAX when it already has. */
int64_t ice_agent_deadline_us(const struct ice_agent *agent);

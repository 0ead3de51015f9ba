/*
 * directory: which peers are expected or here, and whose they are. The one table that all workers
 * share. A peer's slot is found from its ufrag, which spells the slot's number and a random tag:
 * a stranger's ufrag is refused by one comparison, without a lock and without state.
 *
 * Everything else takes a mutex, for the control plane and for births; no media packet comes here.
 */
#pragma once

#include "sfu/mail.h"
#include "sfu/sfu.h"

#define DIRECTORY_NOBODY UINT_MAX /* as a worker: expected, not claimed yet */

struct directory;

/* How mail reaches a worker; called with the directory's mutex held, must only enqueue. */
typedef void directory_deliver_fn(void *arg, unsigned worker, struct mail *mail);

struct directory_options {
    size_t max_peers;
    directory_deliver_fn *deliver;
    void *arg;
};
struct directory *directory_create(const struct directory_options *opt);
void directory_destroy(struct directory **directory);

/* What a peer begins with, once it is claimed. */
struct announcement {
    uint64_t room;
    struct sfu_credentials credentials; /* the newest */
    struct mail_remote remote;
};

MUST_USE enum err directory_add(struct directory *d, const struct announcement *a, sfu_peer_id *id,
                                struct sfu_credentials *credentials);
/* A second pair of credentials leads to the same peer. Before the claim they replace the first. */
MUST_USE enum err directory_restart(struct directory *d, sfu_peer_id id,
                                    struct sfu_credentials *credentials);
/* Takes the mail in any case; NOT_FOUND: the peer is gone. */
MUST_USE enum err directory_post(struct directory *d, struct mail **mail);
/* Nobody finds the peer any more. Its worker, if it has one, gets MAIL_PEER_REMOVE and ends with
 * directory_release. */
MUST_USE enum err directory_remove(struct directory *d, sfu_peer_id id);

/* Whose ufrag is it? False: nobody's. Takes no lock. */
bool directory_find(const struct directory *d, struct str ufrag, sfu_peer_id *id, unsigned *worker);
/* For judging the first check: the password that goes with this ufrag. */
bool directory_password(struct directory *d, sfu_peer_id id, struct str ufrag,
                        char pwd[SFU_PWD_SIZE]);
/* The peer becomes this worker's. False: another was faster, or it is gone. The mail that waited
 * for it is delivered. */
bool directory_claim(struct directory *d, sfu_peer_id id, unsigned worker,
                     struct announcement *out);
/* The former credentials lead nowhere from now on. */
void directory_drop_former(struct directory *d, sfu_peer_id id);
void directory_release(struct directory *d, sfu_peer_id id);

#define DIRECTORY_SLOT_BITS 20
static inline size_t directory_slot(sfu_peer_id id)
{
    return id & ((1u << DIRECTORY_SLOT_BITS) - 1);
}

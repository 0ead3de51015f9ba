/*
 * shards: which conversation lies where. A conversation has a key that says it before anything is
 * read ("d:<user>:<user>", "m:<meeting>", "g:<owner>:<client id>", or its id alone), and its id is
 * made so that both lie in the same shard: whoever knows either knows the shard.
 */
#pragma once

#include "core/id.h"

#define SHARDS_MAX 64

/* Of a conversation, by its id or its key; 0 when there is one shard. */
unsigned shards_find(const char *key, unsigned count);
/* A new id in the shard of this key. */
void shards_make_id(char id[ID_SIZE], const char *key, unsigned count);

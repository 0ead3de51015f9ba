/*
 * autobahn: what the files of the Autobahn list share. A case is begun by its number, sends frames
 * (whole, or cut into small packets) to an echo server over loopback, and says what must come back:
 * echoes and pongs in order, then perhaps a close with a code. Whether every number of the list was
 * run is checked in the end, so the list cannot be thinned out unnoticed.
 *
 * The cases follow https://github.com/crossbario/autobahn-testsuite by number, meaning and sizes.
 * What is smaller here: 12.* and 13.* send a few messages where the suite sends a thousand, of our
 * own making.
 */
#pragma once

#include "net_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "net/ws_internal.h"

#define AUTOBAHN_MESSAGE_MAX (16 * 1024 * 1024)

/* A case under way. */
struct run {
    char number[16];
    struct client c;
    struct strbuf out; /* frames to send */
    size_t chop;       /* bytes of a packet; 0: all at once */
};

/* "1.1" and 8 make 1.1.8; a name without a last number passes 0. Connects. */
struct run autobahn_start(const char *group, unsigned number, size_t chop);
/* The same with headers of the handshake. */
struct run autobahn_start_with(const char *group, unsigned number, size_t chop,
                               const char *headers);
void autobahn_add(struct run *r, unsigned opcode, struct str payload, unsigned flags);
void autobahn_flush(struct run *r);
void autobahn_expect(struct run *r, unsigned opcode, struct str payload);
/* Nothing comes, and the connection stands. */
void autobahn_expect_silence(struct run *r);
void autobahn_expect_close(struct run *r, unsigned code);
/* The good end: we close, it answers in kind. */
void autobahn_finish(struct run *r);
/* n printable bytes, at most AUTOBAHN_MESSAGE_MAX. */
struct str autobahn_fill(size_t n);
/* Sends one message of n such bytes and expects it back. */
void autobahn_echo(const char *group, unsigned number, unsigned opcode, size_t n, size_t chop);

/* Tests, by file. */
void autobahn_1_framing(void **state);
void autobahn_2_pings(void **state);
void autobahn_3_reserved_bits(void **state);
void autobahn_4_opcodes(void **state);
void autobahn_5_fragmentation(void **state);
void autobahn_6_1_to_4(void **state);
void autobahn_6_sequences(void **state);
void autobahn_7_close(void **state);
void autobahn_9_sizes(void **state);
void autobahn_9_fragments(void **state);
void autobahn_9_chops(void **state);
void autobahn_9_round_trips(void **state);
void autobahn_10_fragments(void **state);
void autobahn_12_compression(void **state);
void autobahn_13_parameters(void **state);
void autobahn_compressed_nonsense(void **state);

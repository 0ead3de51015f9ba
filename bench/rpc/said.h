/* What all peers of bench-rpc say: who asks for one profile by id gets this one, and looks at it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user.pb-c.h"

#define SAID_ID "01JD3V8Q4N6M7R2T5W9X0YZABC"
#define SAID_SECRET "the secret of a cluster under load, long enough"
#define SAID_PATH "/parlance.user.v1.User/GetUser"
#define SAID_IN_FLIGHT_MAX 1024

const User__GetUserRequest *said_question(void);
const User__Profile *said_answer(void);
/* The answer to the question, and no other. */
bool said_is_right(const User__Profile *profile);

/* One line of JSON on stdout for the runner. */
void said_ready(void);
void said_done(uint64_t calls, uint64_t wrong, double seconds);
/* Waits for the runner's line; ends the program when stdin ends. */
void said_wait(void);

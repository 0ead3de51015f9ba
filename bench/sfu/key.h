#pragma once

#include <stdbool.h>

#include "sfu/transport/srtp.h"

bool key_read(const char *hex, struct srtp_key *out);

/* An SRTP key and salt as the runner writes them: 56 hexadecimal digits. */
#include "sfu/key.h"

#include <stdio.h>
#include <string.h>

bool key_read(const char *hex, struct srtp_key *out)
{
    uint8_t bytes[28];
    if (strlen(hex) != 2 * sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        unsigned value;
        if (sscanf(hex + 2 * i, "%2x", &value) != 1)
            return false;
        bytes[i] = (uint8_t)value;
    }
    *out = (struct srtp_key){0};
    memcpy(out->key, bytes, 16);
    memcpy(out->salt, bytes + 16, 12);
    return true;
}

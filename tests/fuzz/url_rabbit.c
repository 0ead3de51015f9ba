/* url_rabbit: see the header. */
#include "url_rabbit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_rabbit_internal.h"

void url_check_rabbit(const char *text, unsigned turn)
{
    char *plain, *ca_file;
    bool is_sound = rabbit_pick(text, turn, &plain, &ca_file);
    if (is_sound)
        assert(plain && strncmp(plain, text, 5) == 0);
    free(plain);
    free(ca_file);
}

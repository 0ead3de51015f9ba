/* url_rabbit: see the header. */
#include "url_rabbit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus_rabbit_internal.h"

void url_check_rabbit(const char *text, unsigned turn)
{
    struct rabbit_address address;
    if (rabbit_pick(text, turn, &address)) {
        assert(address.plain && strncmp(address.plain, text, 5) == 0);
        assert(bus_tls_is_whole(&address.tls, address.is_tls));
    }
    rabbit_address_deinit(&address);
}

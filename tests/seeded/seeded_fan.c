/* The same for what the gateway sends: apart, as the tests in virtual time put their own there. */
#include <stdatomic.h>

#include "seeded.h"
#include "services/gateway/gateway_hub.h"

void __real_fan_send(struct fan *fan, const Gateway__ServerFrame *frame, unsigned flags);
void __wrap_fan_send(struct fan *fan, const Gateway__ServerFrame *frame, unsigned flags);

void __wrap_fan_send(struct fan *fan, const Gateway__ServerFrame *frame, unsigned flags)
{
    static _Atomic int count;
    bool is_change = frame->body_case == GATEWAY__SERVER_FRAME__BODY_CHANGE;
    if (has_bug("fan_out_skips_one") && is_change && fan->counts[0] > 1 && ++count % 20 == 0)
        fan->counts[0]--;
    __real_fan_send(fan, frame, flags);
}

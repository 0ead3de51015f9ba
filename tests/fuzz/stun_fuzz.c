/*
 * stun_fuzz: any datagram as a STUN message, alone and before an ICE agent. The agent knows the
 * password of RFC 5769's vectors, so mutated seeds get past the integrity check of their prefix.
 */
#include <stdlib.h>

#include "sfu/transport/ice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ice_agent *agent;
    struct ice_options opt = {
        .credentials = {.local_ufrag = STR("evtj"), .local_pwd = STR("VOkJxbRl1RmTxUk/WvJxBt")}};
    if (!agent && ice_agent_create(&agent, &opt))
        abort();
    struct stun_message m;
    struct str local, remote;
    if (stun_parse(&m, data, size) == ERR_OK) {
        if (stun_split_username(&m, &local, &remote) && local.n + remote.n + 1 != m.username.n)
            abort();
        (void)!stun_is_authentic(&m, STR("VOkJxbRl1RmTxUk/WvJxBt"));
    }
    struct sfu_address from = sfu_address_v4(1, size ? data[size - 1] : 0);
    struct ice_result result;
    (void)ice_agent_on_stun(agent, data, size, &from, 0, &result);
    if (result.response_bytes > 2 * size)
        abort(); /* amplifies */
    return 0;
}

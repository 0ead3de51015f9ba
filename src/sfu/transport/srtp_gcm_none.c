/* srtp_gcm_none: stands in for srtp_gcm_ipsec_mb.c where the library does not exist (not amd64). */
#include "sfu/transport/srtp_internal.h"

const struct srtp_gcm_engine *srtp_gcm_ipsec_mb(void)
{
    return NULL;
}

/* audience: who sees what a person shows to some. Asked by presence for its answers and by gateways
 * for its events. */
#pragma once

#include <stdbool.h>

#include "presence.pb-c.h"

static inline bool audience_has(Presence__Audience audience, Presence__Tie tie)
{
    switch (audience) {
    case PRESENCE__AUDIENCE__EVERYONE: /* of those who may see anything */
        return tie >= PRESENCE__TIE__SHARING;
    case PRESENCE__AUDIENCE__CONTACTS:
        return tie >= PRESENCE__TIE__CONTACT;
    default:
        return tie == PRESENCE__TIE__SELF;
    }
}

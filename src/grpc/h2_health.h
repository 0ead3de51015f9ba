/* h2_health: grpc.health.v1.Health over a fixed list of services, all of which serve until they
 * do not. */
#pragma once

#include "grpc/h2_server.h"

struct h2_health;

/* Names are copied; "" (the process) is always known. */
struct h2_health *h2_health_create(const char *const *services, size_t count);
/* After the server that offers it. */
void h2_health_destroy(struct h2_health **health);
struct h2_service h2_health_service(struct h2_health *health);
/* From now on nothing serves; who watches is told. On the server's loop. */
void h2_health_stop(struct h2_health *health);

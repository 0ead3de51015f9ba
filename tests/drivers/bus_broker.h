/* bus_broker: what the suites over a broker share. */
#pragma once

extern const char *bus_broker_url; /* of the server at our side */

int bus_broker_tasks_suite(void);

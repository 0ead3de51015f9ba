/* What the load clients share: sockets to the loopback, and waiting for the runner. */
#pragma once

#include <stddef.h>

/* Asks for as many sockets as the system lets it have. */
void client_raise_file_limit(void);
/* A blocking socket to a port of 127.0.0.1, without Nagle; ends the program if there is none. */
int client_connect(int port);
/* Waits for the socket while it is full: messages are small. What cannot be sent reading notices.
 */
void client_send(int fd, const void *bytes, size_t n);
/* Until a line comes on stdin; meanwhile poll() is called every 20 ms, to answer pings of servers.
 * Ends the program when stdin ends. */
void client_wait_for_line(void (*poll)(void));

/* tcp_proxy: a way to a server on loopback that a test can cut and mend: a partition. */
#pragma once

#include <stdint.h>

struct tcp_proxy;

struct tcp_proxy *tcp_proxy_start(uint16_t to_port);
void tcp_proxy_stop(struct tcp_proxy **proxy);
uint16_t tcp_proxy_port(const struct tcp_proxy *proxy);
/* Cut: what is open is reset, what comes is reset. Held: bytes wait, as in a frozen network. */
enum tcp_proxy_mode { TCP_PROXY_OPEN, TCP_PROXY_CUT, TCP_PROXY_HELD };
void tcp_proxy_set(struct tcp_proxy *proxy, enum tcp_proxy_mode mode);

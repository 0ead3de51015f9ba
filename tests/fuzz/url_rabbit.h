/* url_rabbit: RabbitMQ's part of the target `url`; apart, since each driver has its own `bus_impl`.
 */
#pragma once

void url_check_rabbit(const char *text, unsigned turn);

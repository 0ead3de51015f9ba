/* bus_schema: the bus' tables (bus_open makes them, too): for what must know all tables. */
#pragma once

#include "store/store.h"

extern const struct store_migration bus_migrations[];
extern const size_t bus_migration_count;

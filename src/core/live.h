/* live: options that change while we run. Each is one word, written by whoever keeps the
 * configuration and read by any thread; no two of them are read as of one moment. */
#pragma once

#define LIVE_GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define LIVE_SET(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)

/* bus_kafka_lib: see the header. Loaded once and for ever: its threads may outlive a bus. */
#include "bus/bus_kafka_lib.h"

#include <dlfcn.h>
#include <pthread.h>

#include "core/base.h"
#include "core/log.h"

#define LIBRARY "librdkafka.so.1"

struct kafka_functions kafka;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum err loaded = ERR_UNAVAILABLE;

static void load(void)
{
    static const struct {
        const char *name;
        size_t offset;
    } functions[] = {
#define XX(name) {"rd_kafka_" #name, offsetof(struct kafka_functions, name)},
        KAFKA_FUNCTIONS(XX)
#undef XX
    };
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        log_error(NULL, "bus: kafka needs " LIBRARY " (Debian: librdkafka1): %s", dlerror());
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        void *found = dlsym(library, functions[i].name);
        if (!found) {
            log_error(NULL, "bus: " LIBRARY " is too old: it has no %s", functions[i].name);
            return;
        }
        *(void **)((char *)&kafka + functions[i].offset) = found;
    }
    loaded = ERR_OK;
}

enum err bus_kafka_load(void)
{
    pthread_once(&once, load);
    return loaded;
}
